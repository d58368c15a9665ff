package archive

import (
	"bytes"
	"encoding/json"
	"regexp"
	"time"

	"liked"
)

// X's archive ("Your X data", Settings, Download an archive of your data) holds files of JavaScript, each of which sets
// one part of one kind of data to a JSON array. README.txt in the archive describes the members:
//
//	data/like.js, data/like-part1.js, …  window.YTD.like.part0 = [{"like": {"tweetId", "fullText", "expandedUrl"}}, …]
//	data/account.js                      window.YTD.account.part0 = [{"account": {"username", "accountId", "createdAt", …}}]
//
// A like tells neither its time nor who wrote the post; fullText is missing where the post was gone. Likes stand newest
// first.
var ytd = regexp.MustCompile(`^window\.YTD\.(like|account)\.part\d+\s*=\s*`)

func (l *Likes) x(file string, text []byte) error {
	start := ytd.FindSubmatchIndex(text)
	array := bytes.TrimRight(text[start[1]:], "; \t\r\n")
	if string(text[start[2]:start[3]]) == "account" {
		return l.xAccount(array)
	}
	l.newest = true
	var likes []struct {
		Like json.RawMessage `json:"like"`
	}
	if err := json.Unmarshal(array, &likes); err != nil {
		return err
	}
	for i, entry := range likes {
		where := numbered(file, i)
		var like struct {
			TweetID  string `json:"tweetId"`
			FullText string `json:"fullText"`
		}
		if err := json.Unmarshal(entry.Like, &like); err != nil {
			l.refuse(where, "it is no like: %v", err)
			continue
		}
		id, err := liked.ParseID[liked.PostID](like.TweetID)
		if err != nil || id == 0 {
			l.refuse(where, "tweetId %q: an id is 1 to 19 decimal digits", like.TweetID)
			continue
		}
		post := liked.Post{ID: id, Text: like.FullText, CreatedAt: xTime(id)}
		if post.Text == "" {
			post.Text = "https://x.com/i/web/status/" + id.String()
		}
		by := standIn("x", "https://x.com/", "Unknown author on X")
		post.Author = by.ID
		l.items = append(l.items, item{where: where, post: post, by: by})
	}
	return nil
}

// xTime is the time in an identifier of X. Those from before November 2010 hold none: they are older than any that do.
func xTime(id liked.PostID) time.Time {
	const epoch, firstWithTime = 1288834974657, 29_700_859_248
	if id < firstWithTime {
		return time.UnixMilli(epoch).UTC()
	}
	return time.UnixMilli(int64(id)>>22 + epoch).UTC()
}

// xAccount takes who made the archive. Only what is public of an account is looked at.
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
	if a.Name == "" {
		a.Name = a.Username
	}
	l.Owner = &liked.User{ID: id, Username: a.Username, Name: shorten(a.Name, 50), CreatedAt: a.CreatedAt.UTC()}
	return nil
}
