package capture

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// resolver answers questions about names: X's hosts have the address, nothing else below X's domains exists, and all other
// names are asked of the name servers that the machine has.
type resolver struct {
	log      *Log
	address  netip.Addr
	upstream []string // host:port; none: there are no other names
}

// nameservers returns those of a resolv.conf.
func nameservers(file string) (all []string) {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 1 && words[0] == "nameserver" {
			all = append(all, net.JoinHostPort(words[1], "53"))
		}
	}
	return all
}

// answer answers a message, nil with none. ask asks one of the machine's name servers.
func (r resolver) answer(question []byte, ask func(server string) ([]byte, error)) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(question)
	if err != nil || header.Response {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	name := canonical(q.Name.String())
	if !isX(name) {
		for _, server := range r.upstream {
			if answer, err := ask(server); err == nil {
				return answer
			}
		}
	}
	reply := dnsmessage.Header{ID: header.ID, Response: true, Authoritative: isX(name), RecursionDesired: header.RecursionDesired,
		RecursionAvailable: true}
	switch {
	case isX(name) && !isHost(name):
		if reply.RCode = dnsmessage.RCodeNameError; q.Type == dnsmessage.TypeA {
			r.log.miss(name, "no such host of X leads here")
		}
	case !isX(name) && len(r.upstream) > 0:
		reply.RCode = dnsmessage.RCodeServerFailure
	case !isX(name):
		reply.RCode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, reply)
	if b.StartQuestions() != nil || b.Question(q) != nil || b.StartAnswers() != nil {
		return nil
	}
	if isHost(name) && q.Type == dnsmessage.TypeA {
		resource := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1}
		if b.AResource(resource, dnsmessage.AResource{A: r.address.As4()}) != nil {
			return nil
		}
	}
	answer, err := b.Finish()
	if err != nil {
		return nil
	}
	return answer
}

const namePatience = 5 * time.Second

// serveNames answers on a packet connection and, unless it is nil, on a listener, until Close.
func (f *Front) serveNames(r resolver, u net.PacketConn, t any) {
	f.agreed.keep(u)
	f.serving.Go(func() {
		for buffer := make([]byte, 64<<10); ; {
			n, from, err := u.ReadFrom(buffer)
			if err != nil {
				return
			}
			question := append([]byte(nil), buffer[:n]...)
			go func() {
				answer := r.answer(question, func(server string) ([]byte, error) { return exchangeNames("udp", server, question) })
				if answer != nil {
					_, _ = u.WriteTo(answer, from)
				}
			}()
		}
	})
	l, ok := t.(net.Listener)
	if !ok {
		return
	}
	f.accept(l, func(c net.Conn) {
		defer c.Close()
		for {
			_ = c.SetDeadline(time.Now().Add(4 * namePatience))
			question, err := readFramed(c)
			if err != nil {
				return
			}
			answer := r.answer(question, func(server string) ([]byte, error) { return exchangeNames("tcp", server, question) })
			if answer == nil || writeFramed(c, answer) != nil {
				return
			}
		}
	})
}

func exchangeNames(network, server string, question []byte) ([]byte, error) {
	c, err := net.DialTimeout(network, server, namePatience)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(namePatience))
	if network == "tcp" {
		if err := writeFramed(c, question); err != nil {
			return nil, err
		}
		return readFramed(c)
	}
	if _, err := c.Write(question); err != nil {
		return nil, err
	}
	answer := make([]byte, 64<<10)
	n, err := c.Read(answer)
	return answer[:n], err
}

// Over TCP a message has its length before it (RFC 1035, 4.2.2).
func readFramed(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, message)
	return message, err
}

func writeFramed(w io.Writer, message []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}
