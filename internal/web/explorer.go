package web

// Explorer is the page on which people try every endpoint. The endpoints come from /2/openapi.json, and what else the
// page loads from [WriteAsset]. A field that is empty is not known, and the page says what to do about it.
type Explorer struct {
	Frame
	ClientID string   // of the app with which one signs in from the page
	Origins  []string // "scheme://host[:port]" of each address of the page that the app has registered as its redirect URI
	UserID   string   // of somebody to start with
	PostID   string   // of a post to start with
	Token    string   // of that somebody. The page shows it to whoever comes, so that it must be no secret.
}

func (p Explorer) about() about {
	return about{template: "explorer", title: "API explorer", here: "/explorer", scripts: true}
}
