package web

// Explorer is the page for trying every endpoint of /2/openapi.json. It says what to do about an empty field.
type Explorer struct {
	Frame
	ClientID string   // of the app that the page signs in with
	Origins  []string // "scheme://host[:port]" of each page address that is a redirect URI of the app
	UserID   string   // to start with
	PostID   string   // to start with
	Token    string   // of that user; all who load the page see it, so it must be no secret
}

func (p Explorer) about() about {
	return about{template: "explorer", title: "API explorer", here: "/explorer", scripts: true}
}
