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
//
// Right passwords have a limit of their own, for each account, since their hashes cost as much.
const (
	throttleWindow    = 15 * time.Minute
	perAccountRight   = 100
	perDevice         = 20
	perAddress        = 200
	perAccountAddress = 20
	perAccount        = 100
)

type attempt struct {
	*Call
	at           time.Time
	right, wrong []func() error // take back the counts of a right password, and of a wrong one
	err          error          // the store's; nothing is counted after it
}

// count counts the attempt if there is room.
func (a *attempt) count(operation, who string, most int) (ok bool) {
	if a.err != nil {
		return false
	}
	user, rules := numbered(who), []liked.RateRule{{Window: throttleWindow, Max: most}}
	if _, ok, a.err = a.Store.Take(a.Context, a.at, operation, 0, user, rules, nil); ok && a.err == nil {
		a.wrong = append(a.wrong, func() error { return a.Store.GiveBack(a.Context, a.at, operation, 0, user, rules) })
	}
	return ok && a.err == nil
}

// giveBack takes back a.right if the password was wrong, and a.wrong if it was right.
func (a *attempt) giveBack(counts []func() error) error {
	for _, undo := range counts {
		a.err = errors.Join(a.err, undo())
	}
	return a.err
}

// throttle counts an attempt against every limit or, if it is refused, none.
func (c *Call) throttle(username, device string) (a *attempt, ok bool) {
	a = &attempt{Call: c, at: c.Now()}
	username = strings.ToLower(username) + "\n"
	if !a.count("signIn.right", username, perAccountRight) {
		return a, false
	}
	a.right, a.wrong = a.wrong, nil
	address, network := origin(c.Address(c.Request))
	if device != "" { // a known one
		ok = a.count("signIn.device", username+device, perDevice)
	} else if a.count("signIn.address", address, perAddress) && a.count("signIn.account.address", username+address, perAccountAddress) {
		first := a.count("signIn.account.network", username+network, 1)
		ok = a.count("signIn.account", username, perAccount) || first && a.err == nil
	}
	if !ok {
		_ = a.giveBack(append(a.right, a.wrong...)) // a.err is the caller's
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
