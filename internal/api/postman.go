package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"liked"
	"liked/internal/limit"
	"liked/internal/postman"
)

// Postman returns the endpoints as folders of a Postman collection whose own authorization is OAuth 2.0, with tests of
// what the endpoints promise. Like the description at /2/openapi.json it is made from what requests are held to. A run
// of all folders in their order succeeds where the environment's user has not liked its post, and leaves it so.
func (a *API) Postman() []postman.Folder {
	d := newDescription(a.facts)
	answers := postman.Recorded(a.Profile.String())
	var folders []postman.Folder
	folder := func(name, description string, auth *postman.Auth) *postman.Folder {
		i := slices.IndexFunc(folders, func(f postman.Folder) bool { return f.Name == name })
		if i < 0 {
			i = len(folders)
			folders = append(folders, postman.Folder{Name: name, Description: description, Auth: auth})
		}
		return &folders[i]
	}
	add := func(f *postman.Folder, item postman.Item) {
		answers.Fill(&item)
		f.Item = append(f.Item, item)
	}
	for _, rt := range a.described {
		folder(d.tag(rt.tag), "", nil)
	}
	// Within a folder what is read has been written, and what is deleted is read before.
	order := map[string]int{http.MethodPost: 0, http.MethodGet: 1, http.MethodPut: 1, http.MethodDelete: 2}
	described := slices.Clone(a.described)
	slices.SortStableFunc(described, func(a, b *endpoint) int { return order[a.method()] - order[b.method()] })
	for _, rt := range described {
		add(folder(d.tag(rt.tag), "", nil), d.item(rt, rt.allow))
	}
	for _, rt := range described {
		if rt.is(ownPath) && rt.allow&liked.OAuth1User != 0 {
			add(folder("OAuth 1.0a", "The same requests, signed.", postman.OAuth1("")), d.item(rt, liked.OAuth1User))
		}
	}
	for _, rt := range described {
		if rt.is(listOfLikes) && rt.allow&liked.AppOnly != 0 {
			add(folder("App-only", "The same requests, by an app for nobody in particular.", postman.Bearer("{{bearerToken}}")), d.item(rt, liked.AppOnly))
		}
	}
	for _, rt := range a.older {
		add(folder("API 1.1", "What is left of the older API, for clients that never moved.", postman.OAuth1("")), d.olderItem(rt))
	}
	return folders
}

// item is the request of an endpoint by somebody with one of the kinds of credential.
func (d *description) item(rt *endpoint, kinds liked.Credential) postman.Item {
	r := postman.New(rt.method(), rt.address(), rt.example, rt.exampleQuery())
	if rt.body != nil {
		r.JSON(rt.body.example())
	}
	item := postman.Item{Name: rt.summary, ID: rt.id, Response: []postman.Response{}}
	user := postman.Bearer("{{accessToken}}")
	rules, saved := rt.userRules, user
	switch {
	case rt.allow == 0:
		r.Auth, saved = postman.NoAuth(), postman.NoAuth()
	case kinds == liked.OAuth1User:
		item.ID += " OAuth 1.0a"
		saved = postman.OAuth1("")
	case kinds&liked.OAuth2User == 0:
		saved, rules = postman.Bearer("{{bearerToken}}"), rt.appRules
		if rt.allow != kinds {
			item.ID += " app-only"
		} else {
			r.Auth = saved
		}
	}
	r.Description = rt.words(rules)
	item.Request = r
	save := func(name string, auth *postman.Auth, change func(*postman.Request)) {
		changed := r.With(auth)
		change(&changed)
		item.Response = append(item.Response, postman.Response{Name: name, OriginalRequest: changed})
	}
	item.Event = append(item.Event, d.test(rt, rules))
	if rt.is(streaming) { // the answer has no end
		item.Event = append(item.Event, postman.OnlyWith("streams"))
		return item
	}
	if d.tag(rt.tag) == "Webhooks" {
		item.Event = append(item.Event, postman.OnlyWith("webhookUrl", replayTimes(rt)...))
	}
	if rt.answer == nil { // it is larger than all others together
		return item
	}
	save("Success", saved, func(*postman.Request) {})
	if item.ID != rt.id { // the refusals are those that the other item of the endpoint has
		return item
	}
	save("No credentials", postman.NoAuth(), func(*postman.Request) {})
	switch {
	case rt.allow&liked.OAuth2User == 0:
		save("A kind of token that it does not take", user, func(*postman.Request) {})
	case rt.writes() && rt.scopes != 0:
		save("A token without the scopes", saved, func(*postman.Request) {})
	}
	if rt.is(ownPath) {
		save("On behalf of somebody else", saved, func(r *postman.Request) { r.URL.Variable[0].Value = "12" })
	}
	if len(rt.path) > 0 {
		last := len(rt.path) - 1
		save("A malformed "+rt.path[last].name, saved, func(r *postman.Request) { r.URL.Variable[last].Value = "not-one" })
		if !rt.writes() || d.tag(rt.tag) == "Webhooks" {
			save("Nothing of that "+rt.path[last].name, saved, func(r *postman.Request) { r.URL.Variable[last].Value = "404" })
		}
	}
	if rt.body != nil {
		another := func(name, old, value string) {
			if text := rt.body.example(); strings.Contains(text, old) {
				save(name, saved, func(r *postman.Request) { r.JSON(strings.Replace(text, old, value, 1)) })
			}
		}
		if slices.ContainsFunc(rt.body.properties, func(p property) bool { return p.required }) {
			save("An empty object", saved, func(r *postman.Request) { r.JSON("{}") })
		}
		another("No such post", "{{postId}}", "404")
		another("No such user", "{{userId}}", "404")
		if len(rt.path) == 0 { // else what the path names, and another request has deleted, is missed first
			another("No such webhook", "{{webhookId}}", "404")
		}
		another("An event of another type", likeCreate, "follow.follow")
		another("An endpoint that fails the challenge", "{{webhookUrl}}", "{{baseUrl}}/no/such/path")
		another("A time that is too long ago", "{{replayFrom}}", "202001010000")
	}
	if slices.ContainsFunc(rt.route.limits, func(l limit.Rule) bool { return !l.App && l.Max <= 50 }) {
		save("Too many requests", saved, func(*postman.Request) {})
	}
	return item
}

// olderItem is the request of an endpoint of v1.1.
func (d *description) olderItem(rt *endpoint) postman.Item {
	var query []postman.Variable
	switch {
	case rt.writes():
		query = []postman.Variable{{Key: "id", Value: "{{postId}}"}}
	case rt.is(listOfLikes):
		query = []postman.Variable{{Key: "user_id", Value: "{{userId}}"}, {Key: "count", Value: "20", Disabled: true}}
	}
	r := postman.New(rt.method(), rt.address(), rt.example, query)
	r.Description = rt.words(rt.userRules)
	lines := append(promises(http.StatusOK, "application/json"), limitTests(rt.userRules)...)
	lines = append(lines, `const answer = pm.response.json();`)
	switch {
	case rt.writes():
		lines = append(lines, `pm.test("it is the post", () => pm.expect(answer.id_str).to.eql(pm.variables.get("postId")));`,
			fmt.Sprintf(`pm.test("it says whether the user likes it", () => pm.expect(answer.favorited).to.eql(%t));`, rt.id == "favoritesCreate"))
	case rt.is(listOfLikes):
		lines = append(lines, `pm.test("it is a list of posts", () => answer.forEach((post) => pm.expect(post).to.include.keys("id_str", "favorite_count")));`)
	default:
		lines = append(lines, `pm.test("it is the user", () => pm.expect(answer.id_str).to.eql(pm.variables.get("userId")));`)
	}
	return postman.Item{Name: rt.summary, ID: rt.id, Request: r, Event: []postman.Event{postman.Test(lines...)}, Response: []postman.Response{
		{Name: "Success", OriginalRequest: r.With(postman.OAuth1(""))},
		{Name: "No credentials", OriginalRequest: r.With(postman.NoAuth())},
	}}
}

// test is the script that holds an answer to the status, the content type, the shape and the headers that it must have.
func (d *description) test(rt *endpoint, rules []limit.Rule) postman.Event {
	status := http.StatusOK
	if rt.is(creates) {
		status = http.StatusCreated
	}
	lines := append(promises(status, "application/json"), limitTests(rules)...)
	schema, err := json.Marshal(d.inline(d.answer(rt)))
	if err != nil {
		panic(err) // it was read from JSON-like data
	}
	lines = append(lines, "const schema = "+string(schema)+";", `pm.test("it has the shape that it must have", () => pm.response.to.have.jsonSchema(schema));`)
	if rt.is(ownPath) {
		lines = append(lines, fmt.Sprintf(`pm.test("it says what is now", () => pm.expect(pm.response.json().data.liked).to.eql(%t));`, rt.method() == http.MethodPost))
	}
	switch rt.answer.(type) { // what later requests of a run change and delete
	case postObject:
		if !rt.is(creates) {
			break
		}
		lines = append(lines, `pm.environment.set("newPostId", pm.response.json().data.id);`)
	case webhookObject:
		lines = append(lines, `pm.environment.set("webhookId", pm.response.json().data.id);`)
	case subscribed:
		lines = append(lines, `pm.environment.set("subscriptionId", pm.response.json().data.subscription.subscription_id);`)
	}
	return postman.Test(lines...)
}

// promises are tests that any answer of that kind passes.
func promises(status int, media string) []string {
	return []string{
		fmt.Sprintf(`pm.test("the status is %d", () => pm.response.to.have.status(%[1]d));`, status),
		fmt.Sprintf(`pm.test("it is %s", () => pm.expect(pm.response.headers.get("Content-Type")).to.match(/^%s(;|$)/));`, media, strings.ReplaceAll(media, "/", `\/`)),
	}
}

// limitTests are tests for the headers of the limits.
func limitTests(rules []limit.Rule) (lines []string) {
	for _, r := range rules {
		name, _ := limitHeader(r)
		lines = append(lines,
			fmt.Sprintf(`pm.test("%s-limit is %d", () => pm.expect(pm.response.headers.get("%[1]s-limit")).to.eql("%[2]d"));`, name, r.Max),
			fmt.Sprintf(`pm.test("%s-remaining and -reset count", () => {
	pm.expect(Number(pm.response.headers.get("%[1]s-remaining"))).to.be.within(0, %d);
	pm.expect(Number(pm.response.headers.get("%[1]s-reset"))).to.be.above(0);
});`, name, r.Max-1))
	}
	return lines
}

// words describe the request to a person: what it does is its name.
func (rt *endpoint) words(rules []limit.Rule) string {
	var lines []string
	if rt.allow&liked.OAuth2User != 0 && rt.scopes != 0 {
		lines = append(lines, "Scopes: `"+strings.ReplaceAll(rt.scopes.String(), " ", "` `")+"`")
	}
	for _, r := range rules {
		_, of := limitHeader(r)
		lines = append(lines, strconv.Itoa(r.Max)+" requests "+of)
	}
	return strings.Join(lines, "\n\n")
}

// example is the value of a name in the path or of a list in the query: a variable of the environment. Who deletes a post
// deletes one that was made for that, and where likes are private one asks who likes a post of one's own.
func (rt *endpoint) example(name string) string {
	params := slices.Concat(rt.path, rt.params)
	switch form := params[slices.IndexFunc(params, func(p param) bool { return p.name == name })].form; {
	case form == webhookID:
		return "{{webhookId}}"
	case form == subscriptionID:
		return "{{subscriptionId}}"
	case rt.method() == http.MethodDelete && !rt.is(ownPath) && form == postID:
		return "{{newPostId}}"
	case rt.is(listOfLikes) && rt.allow != rt.route.allow && form == postID:
		return "{{ownPostId}}"
	case form == userID:
		return "{{userId}}"
	case form == username:
		return "{{username}}"
	}
	return "{{postId}}"
}

// exampleQuery is every parameter, those that are not required switched off.
func (rt *endpoint) exampleQuery() (query []postman.Variable) {
	for _, p := range rt.params {
		v := postman.Variable{Key: p.name, Disabled: !p.required}
		switch p.form {
		case userID, postID, username:
			v.Value, v.Description = rt.example(p.name), "1 to "+strconv.Itoa(maxListed)+", with commas between them"
		case integer:
			v.Value, v.Description = strconv.Itoa(p.max), fmt.Sprintf("%d to %d", p.min, p.max)
		case dateTime:
			v.Value, v.Description = "{{$isoTimestamp}}", "RFC 3339"
		case text:
			v.Description = "From `meta` of the page before"
		default:
			v.Value, v.Description = p.enum[0], "Any of "+strings.Join(p.enum, ", ")
		}
		query = append(query, v)
	}
	return query
}

// example is a body that succeeds.
func (s *schema) example() string {
	var text []string
	for _, p := range s.properties {
		switch {
		case p.postman != "":
			text = append(text, fmt.Sprintf("\t%q: %q", p.name, p.postman))
		case p.required && p.object != nil:
			text = append(text, fmt.Sprintf("\t%q: %s", p.name, strings.ReplaceAll(p.object.example(), "\n", "\n\t")))
		}
	}
	return "{\n" + strings.Join(text, ",\n") + "\n}"
}

// replayTimes are lines that set the times of a replay to the hour before now.
func replayTimes(rt *endpoint) []string {
	if rt.body == nil || !strings.Contains(rt.body.example(), "{{replayFrom}}") {
		return nil
	}
	return []string{
		`const minute = (ago) => new Date(Date.now() - ago).toISOString().replace(/\D/g, "").slice(0, 12);`,
		`pm.environment.set("replayFrom", minute(3600000));`,
		`pm.environment.set("replayTo", minute(0));`,
	}
}

// inline returns the schema with what it refers to in place of the references, and without what is only for people.
func (d *description) inline(v any) any {
	switch v := v.(type) {
	case members:
		if name, ok := v["$ref"].(string); ok {
			return d.inline(d.schemas[strings.TrimPrefix(name, "#/components/schemas/")])
		}
		all := members{}
		for key, value := range v {
			if key != "example" {
				all[key] = d.inline(value)
			}
		}
		return all
	case []members:
		all := make([]any, len(v))
		for i := range v {
			all[i] = d.inline(v[i])
		}
		return all
	}
	return v
}
