package liked

import "time"

// Webhook is an app's URL to which its subscriptions are delivered.
type Webhook struct {
	ID        WebhookID
	App       AppID
	URL       string // 1 to 2048 bytes
	CreatedAt time.Time

	Valid   bool      // if not, nothing is delivered until a challenge is answered correctly
	Checked time.Time // when it last answered a challenge correctly
	Why     string    // why its last challenge failed; "" if it did not
	Replay  Replay    // the one in progress; the zero Replay: none
}

// Replay is an order to deliver again.
type Replay struct {
	ID        int64
	CreatedAt time.Time
	Dead      bool      // the webhook's dead letters; else the events of a period
	From, To  time.Time // From inclusive, To exclusive
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

// ParseDirection parses what String returns.
func ParseDirection(s string) (d Direction, err error) {
	err = parseName(&d, "direction", directions, []byte(s))
	return d, err
}

// Subscription says whose likes an app is to be notified of, and at which webhook.
type Subscription struct {
	ID        SubscriptionID
	App       AppID
	Viewer    UserID // the user who made it, who must be allowed to see what is delivered; zero: the app itself
	User      UserID // the subject
	Direction Direction
	Webhook   WebhookID // zero: none
	Tag       string    // at most 200 characters
	CreatedAt time.Time
	UpdatedAt time.Time
	After     Seq // only later likes are delivered; the store sets it
}

// Wants reports whether the like matches the subscription.
func (s *Subscription) Wants(e LikeEvent) bool {
	return e.On && e.Seq > s.After &&
		(s.Direction != Inbound && e.User == s.User || s.Direction != Outbound && e.Author == s.User)
}
