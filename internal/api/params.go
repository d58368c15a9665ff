package api

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"liked"
)

// param is one query parameter of an endpoint: its name, and the values that it takes.
type param struct {
	name     string
	form     form
	list     bool // values with commas between them; ids and usernames are 1 to maxListed
	required bool
	enum     []string // of word, in the order in which error texts print them
	min, max int      // of integer
	preset   int      // of integer: what goes without saying, if that is not 0
}

// form is how a parameter is written.
type form uint8

const (
	word     form = iota // of enum
	integer              // from min to max
	text                 // anything
	dateTime             // of RFC 3339
	userID
	postID
	username
	webhookID
	subscriptionID
)

const maxListed = 100

const usernamePattern = "^[A-Za-z0-9_]{1,15}$"

// A query is the values of an endpoint's query parameters, those of lists split at their commas.
type query map[string][]string

// number and time read a parameter that readQuery has seen, and return zero if it is not there.
func (q query) number(name string) int {
	if len(q[name]) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(q[name][0])
	return n
}

func (q query) time(name string) (t time.Time) {
	if len(q[name]) > 0 {
		t, _ = time.Parse(time.RFC3339, q[name][0])
	}
	return t
}

// pair is a parameter as it was sent, decoded.
type pair struct{ name, value string }

// readQuery checks what the path names and the query, and returns the query. The faults are in the order of the
// request, and then what is missing.
func (rt *endpoint) readQuery(path []pair, raw string) (query, []fault) {
	var faults []fault
	for i, p := range path {
		if what := rt.path[i].refuse(p.value); what != "" {
			faults = append(faults, badValue(p, what))
		}
	}
	sent, ok := splitQuery(raw)
	if !ok {
		return nil, append(faults, fault{&faultParameter{}, "The query string is not valid"})
	}
	var values query
	for i, p := range sent {
		all := valuesOf(p.name, path, sent)
		if slices.ContainsFunc(sent[:i], func(q pair) bool { return q.name == p.name }) {
			continue // reported at its first place
		}
		switch known, ok := rt.param(p.name); {
		case !ok && !slices.ContainsFunc(path, func(id pair) bool { return id.name == p.name }):
			faults = append(faults, fault{&faultParameter{p.name, all},
				"The query parameter [" + p.name + "] is not one of [" + strings.Join(rt.paramNames(), ",") + "]"})
		case len(all) > 1:
			faults = append(faults, fault{&faultParameter{p.name, all},
				"Duplicate parameters are not allowed: the `" + p.name + "` query parameter"})
		case p.value == "":
			faults = append(faults, empty(p.name))
		default:
			if values == nil {
				values = query{}
			}
			values[p.name] = []string{p.value}
			if known.list {
				values[p.name] = strings.Split(p.value, ",")
			}
			if f, bad := known.check(p.value, values[p.name]); bad {
				faults = append(faults, f)
			}
		}
	}
	for _, p := range rt.params {
		if p.required && valuesOf(p.name, sent) == nil {
			faults = append(faults, empty(p.name))
		}
	}
	return values, faults
}

func empty(name string) fault {
	return fault{&faultParameter{name, nil}, "The `" + name + "` query parameter can not be empty"}
}

// check says what is wrong with the values, which are not empty and were sent as raw.
func (p param) check(raw string, values []string) (f fault, bad bool) {
	if p.list && p.form != word && len(values) > maxListed {
		return fault{&faultParameter{p.name, values}, "The number of values in the `" + p.name + "` query parameter list [" +
			strconv.Itoa(len(values)) + "] is not between 1 and " + strconv.Itoa(maxListed)}, true
	}
	for _, v := range values {
		if what := p.refuse(v); what != "" {
			return fault{&faultParameter{p.name, []string{raw}}, "The `" + p.name + "` query parameter value [" + v + "] " + what}, true
		}
	}
	return f, false
}

// refuse says what is wrong with one value; it returns "" for one that is right.
func (p param) refuse(v string) string {
	switch p.form {
	case word:
		if !slices.Contains(p.enum, v) {
			return "is not one of [" + strings.Join(p.enum, ",") + "]"
		}
	case integer:
		if n, err := strconv.ParseInt(v, 10, 32); err != nil || v[0] == '+' {
			return "is not a valid integer"
		} else if int(n) < p.min || int(n) > p.max {
			return "is not between " + strconv.Itoa(p.min) + " and " + strconv.Itoa(p.max)
		}
	case text:
	case dateTime:
		if _, err := time.Parse(time.RFC3339, v); err != nil {
			return "is not a valid RFC3339 date-time"
		}
	case username:
		if !liked.ValidUsername(v) {
			return "does not match " + usernamePattern
		}
	default:
		if _, err := liked.ParseID[liked.PostID](v); err != nil {
			return "is not valid"
		}
	}
	return ""
}

func badValue(p pair, what string) fault {
	return fault{&faultParameter{p.name, []string{p.value}}, "The `" + p.name + "` query parameter value [" + p.value + "] " + what}
}

func (rt *endpoint) param(name string) (param, bool) {
	i := slices.IndexFunc(rt.params, func(p param) bool { return p.name == name })
	if i < 0 {
		return param{}, false
	}
	return rt.params[i], true
}

// paramNames lists every parameter of the endpoint, those of the path first.
func (rt *endpoint) paramNames() []string {
	var names []string
	for _, p := range slices.Concat(rt.path, rt.params) {
		names = append(names, p.name)
	}
	return names
}

// valuesOf lists all values that were sent under the name, in the path and in the query.
func valuesOf(name string, lists ...[]pair) (values []string) {
	for _, pairs := range lists {
		for _, p := range pairs {
			if p.name == name {
				values = append(values, p.value)
			}
		}
	}
	return values
}

// splitQuery decodes a query string and keeps the order, which url.ParseQuery does not.
func splitQuery(raw string) (pairs []pair, ok bool) {
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil || strings.Contains(part, ";") {
			return nil, false
		}
		pairs = append(pairs, pair{name, value})
	}
	return pairs, true
}

// The query parameters of endpoints that answer with posts, and of those that answer with users.

func postQuery(f facts) []param {
	return slices.Concat(
		[]param{{name: "expansions", list: true, enum: f.postExpansions}},
		f.postFieldParams(),
		[]param{
			{name: "media.fields", list: true, enum: mediaFields},
			{name: "poll.fields", list: true, enum: pollFields},
			{name: "place.fields", list: true, enum: placeFields},
			{name: "user.fields", list: true, enum: f.userFields},
		})
}

func userQuery(f facts) []param {
	return slices.Concat([]param{{name: "expansions", list: true, enum: f.userExpansions}}, f.postFieldParams(), []param{{name: "user.fields", list: true, enum: f.userFields}})
}

func (f facts) postFieldParams() []param {
	params := []param{{name: "tweet.fields", list: true, enum: f.postFields}}
	if f.newerWords {
		newer := slices.Clone(f.postFields)
		for i, field := range newer {
			for word, old := range olderFields {
				if old == field {
					newer[i] = word
				}
			}
		}
		params = append(params, param{name: "post.fields", list: true, enum: append(newer, "article_title")})
	}
	return params
}

func postsQuery(f facts) []param {
	return append([]param{{name: "ids", form: postID, list: true, required: true}}, postQuery(f)...)
}
func usersQuery(f facts) []param {
	return append([]param{{name: "ids", form: userID, list: true, required: true}}, userQuery(f)...)
}

func usernamesQuery(f facts) []param {
	return append([]param{{name: "usernames", form: username, list: true, required: true}}, userQuery(f)...)
}

func likedPostsQuery(f facts) []param  { return append(pageParams(5), postQuery(f)...) }
func likingUsersQuery(f facts) []param { return append(pageParams(1), userQuery(f)...) }

func pageParams(least int) []param {
	return []param{{name: "max_results", form: integer, min: least, max: defaultResults, preset: defaultResults}, {name: "pagination_token", form: text}}
}

func words(names string) []string { return strings.Split(names, ",") }

var (
	postFields     = words("article,attachments,author_id,card_uri,community_id,context_annotations,conversation_id,created_at,display_text_range,edit_controls,edit_history_tweet_ids,entities,geo,id,in_reply_to_user_id,lang,media_metadata,non_public_metrics,note_tweet,organic_metrics,possibly_sensitive,promoted_metrics,public_metrics,referenced_tweets,reply_settings,scopes,source,text,withheld")
	postFields2026 = words("id,text,edit_history_tweet_ids,withheld,rest_id,created_at,author_id,conversation_id,in_reply_to_user_id,referenced_tweets,attachments,lang,possibly_sensitive,paid_partnership,reply_settings,source,display_text_range,card_uri,community_id,note_tweet,scopes,username,suggested_source_links,suggested_source_links_with_counts,matched_media_notes,note_request_suggestions,public_metrics,context_annotations,entities,geo,edit_controls,media_metadata,non_public_metrics,organic_metrics,promoted_metrics,article")
	userFields     = words("affiliation,connection_status,created_at,description,entities,id,is_identity_verified,location,most_recent_tweet_id,name,parody,pinned_tweet_id,profile_banner_url,profile_image_url,protected,public_metrics,receives_your_dm,subscription,subscription_type,url,username,verified,verified_followers_count,verified_type,withheld")
	postExpansions = words("article.cover_media,article.media_entities,attachments.media_keys,attachments.media_source_tweet,attachments.poll_ids,author_id,edit_history_tweet_ids,entities.mentions.username,geo.place_id,in_reply_to_user_id,entities.note.mentions.username,referenced_tweets.id,referenced_tweets.id.author_id")
	userExpansions = words("affiliation.user_id,most_recent_tweet_id,pinned_tweet_id")
	mediaFields    = words("alt_text,duration_ms,height,media_key,non_public_metrics,organic_metrics,preview_image_url,promoted_metrics,public_metrics,type,url,variants,width")
	pollFields     = words("duration_minutes,end_datetime,id,options,voting_status")
	placeFields    = words("contained_within,country,country_code,full_name,geo,id,name,place_type")
)
