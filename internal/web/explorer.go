package web

// Explorer is the page on which people try every endpoint. The endpoints come from /2/openapi.json, and what else the
// page loads from [WriteAsset]. An empty field is not known, and the page says what to do about it.
type Explorer struct {
	Frame
	ClientID string   // of the app with which one signs in from the page
	Origins  []string // "scheme://host[:port]" of each address of the page that the app has registered as its redirect URI
	UserID   string   // of a user to start with
	PostID   string   // of a post to start with
	Token    string   // of that user. The page shows it to all who load it, so that it must be no secret.
}

func (p Explorer) about() about {
	return about{template: "explorer", title: "API explorer", here: "/explorer", scripts: true}
}
