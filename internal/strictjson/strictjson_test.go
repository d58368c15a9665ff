package strictjson_test

import (
	"strings"
	"testing"
	"time"

	"liked"
	"liked/internal/strictjson"
)

type record struct {
	User liked.UserID `json:"user_id"`
	N    int64        `json:"n"`
	Name *string      `json:"name"`
	At   *time.Time   `json:"at"`
	Have []string     `json:"have"`
	Flag bool         `json:"flag"`
}

// What two readers could understand differently is refused, with the name of what is wrong.
func TestUnmarshal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, want string // part of the error, "" for none
		known      string // the same of UnmarshalKnown, "=" for want
	}{
		{`{"user_id":"13","n":5,"name":"é","at":"2024-02-03T00:00:00Z","have":["a"],"flag":true}`, "", "="},
		{" {} \n", "", "="},
		{`{"user_id":"13","USER_ID":"12"}`, `unknown member "USER_ID"; names are exact`, ""},
		{`{"User_id":"13"}`, `unknown member "User_id"`, ""},
		{`{"user_id":"13","user_id":"12"}`, `member "user_id" stands twice`, "="},
		{`{"user_id":"13","user\u005fid":"12"}`, `member "user_id" stands twice`, "="},
		{`{"x":{"y":1,"y":2}}`, `unknown member "x"`, `member "y" stands twice`},
		{`{}{}`, "no JSON from byte 3 on", "="},
		{`{} x`, "no JSON from byte 4 on", "="},
		{`{"n":1`, "no JSON", "="},
		{``, "no JSON", "="},
		{`{'n':1}`, "no JSON from byte 2 on", "="},
		{`[]`, "the value cannot be an array", "="},
		{`"x"`, "the value cannot be a string", "="},
		{`{"user_id":13}`, `member "user_id" cannot be a number`, "="},
		{`{"user_id":"x"}`, `member "user_id": an id is 1 to 19 decimal digits`, "="},
		{`{"n":"5"}`, `member "n" cannot be a string`, "="},
		{`{"n":1.5}`, `member "n": invalid syntax`, "="},
		{`{"n":9223372036854775808}`, `member "n": value out of range`, "="},
		{`{"flag":"true"}`, `member "flag" cannot be a string`, "="},
		{`{"at":"2024-02-30T00:00:00Z"}`, `member "at": parsing time "2024-02-30T00:00:00Z": day out of range`, "="},
		{"{\"name\":\"\xff\"}", "invalid UTF-8", "="},
		{`{"name":"\ud800"}`, "invalid surrogate pair", "="},
	} {
		if c.known == "=" {
			c.known = c.want
		}
		for _, d := range []struct {
			name   string
			decode func([]byte, any) error
			want   string
		}{{"Unmarshal", strictjson.Unmarshal, c.want}, {"UnmarshalKnown", strictjson.UnmarshalKnown, c.known}} {
			var r record
			err := d.decode([]byte(c.text), &r)
			if (err == nil) != (d.want == "") || err != nil && !strings.Contains(err.Error(), d.want) {
				t.Errorf("%s %s: got error %v, want %q", d.name, c.text, err, d.want)
			}
		}
	}
	var r record
	if err := strictjson.Unmarshal([]byte(`{"user_id":"13","have":["a","b"]}`), &r); err != nil || r.User != 13 || len(r.Have) != 2 {
		t.Errorf("got %+v, %v", r, err)
	}
}
