package archive

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"liked"
)

// X's archive ("Your X data", Settings, Download an archive of your data) has JavaScript files, each of which sets a
// part of one kind of data to a JSON array. Its README.txt describes them:
//
//	data/like.js, data/like-part1.js, …  window.YTD.like.part0 = [{"like": {"tweetId", "fullText", "expandedUrl"}}, …]
//	data/account.js                      window.YTD.account.part0 = [{"account": {"username", "accountId", "createdAt", …}}]
//
// A like has no time or author, and no fullText if the post was gone. Likes are newest first.
var ytd = regexp.MustCompile(`^window\.YTD\.(\w+)\.part\d+\s*=$`)

// x reads one file, or several one behind the other.
func (r *reader) x(in *bufio.Reader) error {
	for {
		start, _ := in.ReadSlice('=')
		m := ytd.FindSubmatch(start)
		switch {
		case m == nil:
			return fmt.Errorf("%s: it is damaged behind like %d: get the archive again", r.where, r.found)
		case string(m[1]) == "account":
			d := &decoder{in: in, r: r}
			d.Decoder = json.NewDecoder(d)
			d.allow()
			return r.xAccount(d)
		case string(m[1]) != "like":
			return fmt.Errorf("%s: it holds %s of X, not likes: give data/like.js, or the whole archive", r.where, m[1])
		}
		if err := r.is(ofX); err != nil {
			return err
		}
		rest, err := r.json(in, true)
		if err != nil {
			return err
		}
		in = bufio.NewReader(rest)
		for {
			if _, err := skipSpace(in); err == io.EOF {
				return nil
			} else if err != nil {
				return at(r.where, "", err)
			}
			if next, _ := in.Peek(1); next[0] != ';' {
				break
			}
			_, _ = in.Discard(1)
		}
	}
}

func xLike(entry value) (l like, err error) {
	if !entry.has("like") {
		return l, errors.New("it is no like")
	}
	v := entry.object("like")
	if v.members == nil {
		return l, errors.New("it is no like")
	}
	id, err := liked.ParseID[liked.PostID](v.member("tweetId"))
	if err != nil || id == 0 {
		return l, fmt.Errorf("tweetId %q: an id is 1 to 19 decimal digits", v.member("tweetId"))
	}
	return like{Post: id, Text: cmp.Or(v.member("fullText"), "https://x.com/i/web/status/"+id.String()), Created: xTime(id),
		Service: "x", Author: "https://x.com/", Name: "Unknown author on X"}, nil
}

// xTime is the time in an id of X. Ids from before November 2010 have none.
func xTime(id liked.PostID) time.Time {
	const epoch, firstWithTime = 1288834974657, 29_700_859_248
	if id < firstWithTime {
		return time.UnixMilli(epoch)
	}
	return time.UnixMilli(int64(id)>>22 + epoch)
}

// xAccount takes the public data of the archive's account.
func (r *reader) xAccount(d *decoder) error {
	var accounts []struct {
		Account struct {
			Username  string `json:"username"`
			ID        string `json:"accountId"`
			Name      string `json:"accountDisplayName"`
			CreatedAt string `json:"createdAt"`
		} `json:"account"`
	}
	if err := d.Decode(&accounts); err != nil || len(accounts) != 1 {
		return fmt.Errorf("%s: it does not tell of one account: give data/like.js alone, and --user", r.where)
	}
	a := accounts[0].Account
	id, err := liked.ParseID[liked.UserID](a.ID)
	if err != nil {
		return fmt.Errorf("%s: accountId %q: an id is 1 to 19 decimal digits", r.where, a.ID)
	}
	r.own(id, a.Username, a.Name, a.CreatedAt, "")
	return nil
}
