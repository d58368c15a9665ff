package web

// Explorer is the page on which people try every endpoint of /2/openapi.json. It says what to do about an empty field.
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
