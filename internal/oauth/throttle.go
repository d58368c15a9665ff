package oauth

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"time"

	"liked"
	"liked/internal/auth"
)

// Limits on wrong passwords within throttleWindow. A browser that the account was used in before has its own. Any other
// guess counts against its address (an IPv6 /64, one household's), that address and account, and the account.
//
// The account's limit slows a guesser with many addresses, but must not lock out the owner on a new device: it spares the
// first guess at the account from each network (an IPv4 address or IPv6 /48). n networks thus have 100 + n guesses, each
// costing a hash, of which the server computes few at a time. Only guesses from the owner's network lock the owner out.
const (
	throttleWindow    = 15 * time.Minute
	perDevice         = 20
	perAddress        = 200
	perAccountAddress = 20
	perAccount        = 100
)

type attempt struct {
	*Call
	at   time.Time
	undo []func() error // takes the counts back
	err  error          // the store's; nothing is counted after it
}

// count counts the attempt if there is room.
func (a *attempt) count(operation, who string, most int) (ok bool) {
	if a.err != nil {
		return false
	}
	user, rules := numbered(who), []liked.RateRule{{Window: throttleWindow, Max: most}}
	if _, ok, a.err = a.Store.Take(a.Context, a.at, operation, 0, user, rules, nil); ok && a.err == nil {
		a.undo = append(a.undo, func() error { return a.Store.GiveBack(a.Context, a.at, operation, 0, user, rules) })
	}
	return ok && a.err == nil
}

func (a *attempt) giveBack() {
	for _, undo := range a.undo {
		a.err = errors.Join(a.err, undo())
	}
}

// throttle counts an attempt against every limit or, if it is refused, none.
func (c *Call) throttle(username, device string, known bool) (a *attempt, ok bool) {
	a = &attempt{Call: c, at: c.Now()}
	username = strings.ToLower(username) + "\n"
	if known {
		return a, a.count("signIn.device", username+device, perDevice)
	}
	address, network := origin(c.Address(c.Request))
	if a.count("signIn.address", address, perAddress) && a.count("signIn.account.address", username+address, perAccountAddress) {
		first := a.count("signIn.account.network", username+network, 1)
		ok = a.count("signIn.account", username, perAccount) || first && a.err == nil
	}
	if !ok {
		a.giveBack()
	}
	return a, ok
}

// origin returns the address of one guesser, and its network.
func origin(address string) (one, network string) {
	ip, err := netip.ParseAddr(strings.Trim(address, "[]"))
	if err != nil || !ip.Is6() || ip.Is4In6() {
		return address, address
	}
	ip = ip.WithZone("")
	household, err := ip.Prefix(64)
	site, err2 := ip.Prefix(48)
	if err != nil || err2 != nil {
		return address, address
	}
	return household.String(), site.String()
}

// numbered turns text into a user ID to count by.
func numbered(text string) liked.UserID {
	sum := auth.HashOf(text)
	return liked.UserID(binary.BigEndian.Uint64(sum[:])>>1 | 1)
}
