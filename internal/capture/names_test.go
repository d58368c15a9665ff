package capture

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func question(t *testing.T, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}}}
	text, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// X's hosts have one address and no other kind of record, no other name below X's domains exists, and what is asked of other
// names goes to the machine's name server, over UDP and TCP.
func TestNames(t *testing.T) {
	t.Parallel()
	upstream := listenNames(t, nil)
	f := stand(t)
	here := resolver{log: &f.Log, address: netip.MustParseAddr("127.1.2.3"), upstream: []string{"127.0.0.1:1", upstream}}
	offline := here
	offline.upstream = nil
	for _, tt := range []struct {
		r     resolver
		name  string
		kind  dnsmessage.Type
		code  dnsmessage.RCode
		count int
	}{
		{here, "api.x.com.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, 1},
		{here, "WWW.Twitter.com.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, 1},
		{here, "api.x.com.", dnsmessage.TypeAAAA, dnsmessage.RCodeSuccess, 0},
		{here, "ads-api.x.com.", dnsmessage.TypeAAAA, dnsmessage.RCodeNameError, 0},
		{here, "ads-api.x.com.", dnsmessage.TypeA, dnsmessage.RCodeNameError, 0},
		{here, "example.com.", dnsmessage.TypeA, dnsmessage.RCodeRefused, 0},
		{offline, "example.com.", dnsmessage.TypeA, dnsmessage.RCodeNameError, 0},
		{offline, "x.com.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, 1},
	} {
		for _, network := range []string{"udp", "tcp"} {
			server := listenNames(t, &tt.r)
			text, err := exchangeNames(network, server, question(t, tt.name, tt.kind))
			if err != nil {
				t.Fatal(err)
			}
			var got dnsmessage.Message
			if err := got.Unpack(text); err != nil {
				t.Fatal(err)
			}
			if got.ID != 7 || got.RCode != tt.code || len(got.Answers) != tt.count {
				t.Errorf("%s %s over %s: %v", tt.name, tt.kind, network, got.GoString())
			}
			if tt.count > 0 && got.Answers[0].Body.(*dnsmessage.AResource).A != [4]byte{127, 1, 2, 3} {
				t.Errorf("%s is %v", tt.name, got.Answers[0].Body.GoString())
			}
		}
	}
	if errors := f.Log.Summary().Errors; len(errors) != 1 || errors[0].Host != "ads-api.x.com" || errors[0].Count != 2 {
		t.Errorf("%+v", errors)
	}
	for _, text := range []string{"", "garbage", string(make([]byte, 12))} {
		if got := here.answer([]byte(text), nil); got != nil {
			t.Errorf("%q is answered with %q", text, got)
		}
	}
}

// samePort listens on a port that is free in TCP and UDP.
func samePort(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		u, err := net.ListenPacket("udp", l.Addr().String())
		if err == nil {
			return l, u
		}
		l.Close()
		if !errors.Is(err, syscall.EADDRINUSE) { // by anybody on this machine who asks a name server
			t.Fatal(err)
		}
	}
}

// listenNames has the resolver answer on a port of UDP and TCP; without one all questions are refused.
func listenNames(t *testing.T, r *resolver) string {
	t.Helper()
	f := stand(t)
	l, u := samePort(t)
	if r != nil {
		f.serveNames(*r, u, l)
		return l.Addr().String()
	}
	refuse := func(text []byte) []byte {
		var m dnsmessage.Message
		if err := m.Unpack(text); err != nil {
			t.Error(err)
		}
		m.Response, m.RCode = true, dnsmessage.RCodeRefused
		answer, err := m.Pack()
		if err != nil {
			t.Error(err)
		}
		return answer
	}
	f.agreed.keep(u)
	go func() {
		for buffer := make([]byte, 512); ; {
			n, from, err := u.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = u.WriteTo(refuse(buffer[:n]), from)
		}
	}()
	f.accept(l, func(c net.Conn) {
		defer c.Close()
		if text, err := readFramed(c); err == nil {
			_ = writeFramed(c, refuse(text))
		}
	})
	return l.Addr().String()
}
