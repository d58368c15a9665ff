package postman

import (
	"embed"
	"encoding/json"
	"net/http"
	"strings"
)

// Answers is what a server was recorded to say, by the id of the item and the name of the answer.
type Answers map[string]map[string]Answer

// Answer is one of them: the bytes of the body, and those headers that say something about the request.
type Answer struct {
	Code   int      `json:"code"`
	Header []Header `json:"header"`
	Body   string   `json:"body"`
}

//go:embed answers
var recorded embed.FS

// Recorded returns the answers that a server with the profile gave. TestPostman of internal/server records them.
func Recorded(profile string) Answers {
	text, err := recorded.ReadFile("answers/" + profile + ".json")
	if err != nil {
		panic(err) // there is one for each profile
	}
	var a Answers
	if err := json.Unmarshal(text, &a); err != nil {
		panic(err)
	}
	return a
}

// Fill puts the answers into the responses of the item that bear their names.
func (a Answers) Fill(item *Item) {
	for i := range item.Response {
		r := &item.Response[i]
		answer := a[item.ID][r.Name]
		r.Code, r.Status, r.Header, r.Body = answer.Code, http.StatusText(answer.Code), answer.Header, answer.Body
		if r.Header == nil {
			r.Header = []Header{}
		}
		r.PreviewLanguage = "text"
		if strings.HasPrefix(r.Body, "{") || strings.HasPrefix(r.Body, "[") {
			r.PreviewLanguage = "json"
		}
	}
}
