package liked

import "time"

// Webhook is an address of an app's, to which what the app has subscribed to is delivered.
type Webhook struct {
	ID        WebhookID
	App       AppID
	URL       string // 1 to 2048 bytes
	CreatedAt time.Time

	Valid   bool      // if not, nothing is delivered until it answers a challenge right
	Checked time.Time // when it last answered a challenge right
	Why     string    // why it last did not; "" if it did
	Replay  Replay    // that is under way; the zero Replay: none
}

// Replay is an order to deliver once more what a webhook was sent.
type Replay struct {
	ID        int64
	CreatedAt time.Time
	Dead      bool      // the webhook's dead letters; else what happened
	From, To  time.Time // from From until before To
}

// Direction says which likes a subscription is about.
type Direction uint8

const (
	BothDirections Direction = iota
	Inbound                  // of the user's posts
	Outbound                 // by the user
)

// String is the direction's name, "" for both.
func (d Direction) String() string { return name(directions, d) }

var directions = []string{"", "inbound", "outbound"}

// ParseDirection reads what String returns.
func ParseDirection(s string) (d Direction, err error) {
	err = parseName(&d, "direction", directions, []byte(s))
	return d, err
}

// Subscription says whose likes an app wants to hear of, and where.
type Subscription struct {
	ID        SubscriptionID
	App       AppID
	Viewer    UserID // who made it: they see what is delivered; zero: the app itself
	User      UserID // whom it is about
	Direction Direction
	Webhook   WebhookID // zero: none
	Tag       string    // at most 200 characters
	CreatedAt time.Time
	UpdatedAt time.Time
	After     Seq // likes after this position; the store sets it
}

// Wants reports whether the subscription is about the like.
func (s *Subscription) Wants(e LikeEvent) bool {
	return e.On && e.Seq > s.After &&
		(s.Direction != Inbound && e.User == s.User || s.Direction != Outbound && e.Author == s.User)
}
