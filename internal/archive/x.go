package archive

import (
	"bytes"
	"cmp"
	"encoding/json"
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
var ytd = regexp.MustCompile(`^window\.YTD\.(like|account)\.part\d+\s*=\s*`)

func (l *Likes) x(text []byte) error {
	start := ytd.FindSubmatch(text)
	array := bytes.TrimRight(text[len(start[0]):], "; \t\r\n")
	if string(start[1]) == "account" {
		return l.xAccount(array)
	}
	var likes []struct {
		Like json.RawMessage `json:"like"`
	}
	if err := json.Unmarshal(array, &likes); err != nil {
		return err
	}
	for _, entry := range likes {
		l.add(xLike(entry.Like))
	}
	return nil
}

func xLike(text []byte) (item, error) {
	var like struct {
		TweetID  string `json:"tweetId"`
		FullText string `json:"fullText"`
	}
	if err := json.Unmarshal(text, &like); err != nil {
		return item{}, liked.Errorf(liked.Invalid, "it is no like: %v", err)
	}
	id, err := liked.ParseID[liked.PostID](like.TweetID)
	if err != nil || id == 0 {
		return item{}, liked.Errorf(liked.Invalid, "tweetId %q: an id is 1 to 19 decimal digits", like.TweetID)
	}
	post := liked.Post{ID: id, Text: cmp.Or(like.FullText, "https://x.com/i/web/status/"+id.String()), CreatedAt: xTime(id)}
	return item{post: post, by: standIn("x", "https://x.com/", "Unknown author on X")}, nil
}

// xTime is the time in an id of X. Ids from before November 2010 have none.
func xTime(id liked.PostID) time.Time {
	const epoch, firstWithTime = 1288834974657, 29_700_859_248
	if id < firstWithTime {
		return time.UnixMilli(epoch).UTC()
	}
	return time.UnixMilli(int64(id)>>22 + epoch).UTC()
}

// xAccount takes the public data of the archive's account.
func (l *Likes) xAccount(array []byte) error {
	var accounts []struct {
		Account struct {
			Username  string    `json:"username"`
			ID        string    `json:"accountId"`
			Name      string    `json:"accountDisplayName"`
			CreatedAt time.Time `json:"createdAt"`
		} `json:"account"`
	}
	if err := json.Unmarshal(array, &accounts); err != nil {
		return err
	}
	if len(accounts) != 1 {
		return nil
	}
	a := accounts[0].Account
	id, err := liked.ParseID[liked.UserID](a.ID)
	if err != nil {
		return err
	}
	l.own(id, a.Username, a.Name, a.CreatedAt, "")
	return nil
}
