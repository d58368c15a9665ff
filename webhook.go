package liked

import "time"

// Webhook is a URL that receives what an app has subscribed to.
type Webhook struct {
	ID        WebhookID
	App       AppID
	URL       string // 1 to 2048 bytes
	CreatedAt time.Time

	Valid   bool      // if not, nothing is delivered until it passes a challenge
	Checked time.Time // when it last passed a challenge
	Why     string    // why its last challenge failed; "" if it passed
	Replay  Replay    // in progress; zero: none
}

// Replay is an order to deliver again.
type Replay struct {
	ID        int64
	CreatedAt time.Time
	Dead      bool      // dead letters; else the events of a period
	From, To  time.Time // excluding To
}

// Direction is which likes a subscription matches.
type Direction uint8

const (
	BothDirections Direction = iota
	Inbound                  // of the user's posts
	Outbound                 // by the user
)

// String is the direction's name, "" for both.
func (d Direction) String() string { return name(directions, d) }

var directions = []string{"", "inbound", "outbound"}

// ParseDirection parses what String returns.
func ParseDirection(s string) (d Direction, err error) {
	err = parseName(&d, "direction", directions, []byte(s))
	return d, err
}

// Subscription says whose likes an app wants, and at which webhook.
type Subscription struct {
	ID        SubscriptionID
	App       AppID
	Viewer    UserID // creator, who sees only what they may; zero: the app
	User      UserID // the subject
	Direction Direction
	Webhook   WebhookID // zero: none
	Tag       string    // at most 200 characters
	CreatedAt time.Time
	UpdatedAt time.Time
	After     Seq // later likes match; the store sets it
}

func (s *Subscription) Wants(e LikeEvent) bool {
	return e.On && e.Seq > s.After &&
		(s.Direction != Inbound && e.User == s.User || s.Direction != Outbound && e.Author == s.User)
}
