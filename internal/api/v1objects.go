package api

import (
	"net/url"
	"time"

	"liked"
)

// v1Status is a post in v1.1's words ("Tweet data dictionary", v1.1). Members are there even if they have no value.
type v1Status struct {
	CreatedAt         string       `json:"created_at"`
	ID                int64        `json:"id"`
	IDStr             liked.PostID `json:"id_str"`
	Text              *string      `json:"text,omitempty"`
	FullText          *string      `json:"full_text,omitempty"`
	Truncated         bool         `json:"truncated"`
	DisplayTextRange  []int        `json:"display_text_range,omitempty"`
	Entities          *v1Entities  `json:"entities,omitempty"`
	Source            string       `json:"source"`
	InReplyTo         *int64       `json:"in_reply_to_status_id"`
	InReplyToStr      *string      `json:"in_reply_to_status_id_str"`
	InReplyToUser     *int64       `json:"in_reply_to_user_id"`
	InReplyToUserStr  *string      `json:"in_reply_to_user_id_str"`
	InReplyToUsername *string      `json:"in_reply_to_screen_name"`
	User              *v1User      `json:"user,omitempty"`
	Geo               *struct{}    `json:"geo"`
	Coordinates       *struct{}    `json:"coordinates"`
	Place             *struct{}    `json:"place"`
	Contributors      *struct{}    `json:"contributors"`
	IsQuote           bool         `json:"is_quote_status"`
	QuotedID          *int64       `json:"quoted_status_id,omitempty"`
	QuotedIDStr       *string      `json:"quoted_status_id_str,omitempty"`
	Retweets          int64        `json:"retweet_count"`
	Favorites         int64        `json:"favorite_count"`
	Favorited         bool         `json:"favorited"`
	Retweeted         bool         `json:"retweeted"`
	Lang              string       `json:"lang"`
}

// v1Entities is empty: texts are not taken apart.
type v1Entities struct {
	Hashtags []struct{} `json:"hashtags"`
	Symbols  []struct{} `json:"symbols"`
	Mentions []struct{} `json:"user_mentions"`
	URLs     []struct{} `json:"urls"`
}

func newV1Entities() *v1Entities {
	none := []struct{}{}
	return &v1Entities{none, none, none, none}
}

// v1User is an account in v1.1's words ("User object", v1.1).
type v1User struct {
	ID                  int64           `json:"id"`
	IDStr               liked.UserID    `json:"id_str"`
	Name                string          `json:"name"`
	ScreenName          string          `json:"screen_name"`
	Location            string          `json:"location"`
	Description         string          `json:"description"`
	URL                 *string         `json:"url"`
	Entities            *v1UserEntities `json:"entities,omitempty"`
	Protected           bool            `json:"protected"`
	Followers           int64           `json:"followers_count"`
	Friends             int64           `json:"friends_count"`
	Listed              int64           `json:"listed_count"`
	CreatedAt           string          `json:"created_at"`
	Favourites          int64           `json:"favourites_count"`
	UTCOffset           *int            `json:"utc_offset"`
	TimeZone            *string         `json:"time_zone"`
	GeoEnabled          bool            `json:"geo_enabled"`
	Verified            bool            `json:"verified"`
	Statuses            int64           `json:"statuses_count"`
	Lang                *string         `json:"lang"`
	Status              *v1Status       `json:"status,omitempty"`
	ContributorsEnabled bool            `json:"contributors_enabled"`
	IsTranslator        bool            `json:"is_translator"`
	ImageURL            string          `json:"profile_image_url"`
	ImageURLHTTPS       string          `json:"profile_image_url_https"`
	DefaultProfile      bool            `json:"default_profile"`
	DefaultImage        bool            `json:"default_profile_image"`
	Following           bool            `json:"following"`
	FollowRequestSent   bool            `json:"follow_request_sent"`
	Notifications       bool            `json:"notifications"`
}

type v1UserEntities struct {
	Description struct {
		URLs []struct{} `json:"urls"`
	} `json:"description"`
}

// v1Time writes "Wed Oct 10 20:19:24 +0000 2018".
func v1Time(t time.Time) string { return t.UTC().Format("Mon Jan 02 15:04:05 -0700 2006") }

func wantsEntities(form url.Values) bool {
	v := form.Get("include_entities")
	return v != "false" && v != "f" && v != "0"
}

func newV1User(u *liked.User, following, entities bool) *v1User {
	m := u.Metrics
	o := &v1User{ID: int64(u.ID), IDStr: u.ID, Name: u.Name, ScreenName: u.Username, Location: u.Location, Description: u.Description,
		Protected: u.Protected, Followers: m.Followers, Friends: m.Following, CreatedAt: v1Time(u.CreatedAt), Favourites: m.Likes,
		Verified: u.Verified, Statuses: m.Posts, ImageURL: u.ProfileImageURL, ImageURLHTTPS: u.ProfileImageURL, DefaultProfile: true,
		DefaultImage: u.ProfileImageURL == "", Following: following}
	if u.URL != "" {
		o.URL = &u.URL
	}
	if entities {
		o.Entities = new(v1UserEntities)
		o.Entities.Description.URLs = []struct{}{}
	}
	return o
}

// v1Statuses makes statuses of posts that the caller may see.
func (a *API) v1Statuses(c *call, posts []liked.Post) ([]*v1Status, error) {
	var people []liked.UserID
	ids := make([]liked.PostID, len(posts))
	for i, p := range posts {
		ids[i] = p.ID
		people = append(people, p.Author)
		if p.InReplyToUser != 0 {
			people = append(people, p.InReplyToUser)
		}
	}
	users, err := a.Store.UsersByID(c.ctx, people)
	if err != nil {
		return nil, err
	}
	byID := make(map[liked.UserID]*liked.User, len(users))
	for i := range users {
		byID[users[i].ID] = &users[i]
	}
	relations, err := a.Store.Relations(c.ctx, c.who.User, people)
	if err != nil {
		return nil, err
	}
	following := make(map[liked.UserID]bool, len(people))
	for i, id := range people {
		following[id] = relations[i].Follows
	}
	likes, err := a.Store.Liked(c.ctx, c.who.User, ids)
	if err != nil {
		return nil, err
	}
	entities, extended := wantsEntities(c.form), c.form.Get("tweet_mode") == "extended"
	statuses := make([]*v1Status, len(posts))
	for i := range posts {
		p := &posts[i]
		s := &v1Status{CreatedAt: v1Time(p.CreatedAt), ID: int64(p.ID), IDStr: p.ID, Text: &p.Text, IsQuote: p.Quotes != 0,
			Retweets: p.Metrics.Reposts, Favorites: p.Metrics.Likes, Favorited: likes[i], Lang: "und"}
		if extended {
			s.Text, s.FullText, s.DisplayTextRange = nil, &p.Text, []int{0, len([]rune(p.Text))}
		}
		if entities {
			s.Entities = newV1Entities()
		}
		if p.InReplyTo != 0 {
			s.InReplyTo, s.InReplyToStr = v1Number(p.InReplyTo)
			s.InReplyToUser, s.InReplyToUserStr = v1Number(p.InReplyToUser)
			if u := byID[p.InReplyToUser]; u != nil {
				s.InReplyToUsername = &u.Username
			}
		}
		if p.Quotes != 0 {
			s.QuotedID, s.QuotedIDStr = v1Number(p.Quotes)
		}
		if u := byID[p.Author]; u != nil {
			s.User = newV1User(u, following[u.ID], entities)
		}
		statuses[i] = s
	}
	return statuses, nil
}

// v1Number is an identifier as the number and the text that v1.1 gives side by side.
func v1Number[ID interface {
	~int64
	String() string
}](id ID) (*int64, *string) {
	n, text := int64(id), id.String()
	return &n, &text
}
