package api

import (
	"net/url"
	"slices"
	"strings"

	"liked"
)

// param is one query parameter of an endpoint: its name, and the values that it takes.
type param struct {
	name string
	enum []string // the values of a list parameter, in the order in which error texts print them
}

// A query is the values of an endpoint's query parameters, split at their commas.
type query map[string][]string

func (q query) has(param, value string) bool { return slices.Contains(q[param], value) }

// pair is a parameter as it was sent, decoded.
type pair struct{ name, value string }

// readQuery checks the path's ids and the query, and returns the query. The faults are in the order of the request.
func (rt *route) readQuery(ids []pair, raw string) (query, []fault) {
	var faults []fault
	for _, id := range ids {
		if _, err := liked.ParseID[liked.PostID](id.value); err != nil {
			faults = append(faults, badValue(id, "is not valid"))
		}
	}
	if raw == "" {
		return nil, faults
	}
	sent, ok := splitQuery(raw)
	if !ok {
		return nil, append(faults, fault{&faultParameter{}, "The query string is not valid"})
	}
	values := query{}
	for i, p := range sent {
		all := valuesOf(p.name, ids, sent)
		if slices.ContainsFunc(sent[:i], func(q pair) bool { return q.name == p.name }) {
			continue // reported at its first place
		}
		switch known, ok := rt.param(p.name); {
		case !ok && !slices.ContainsFunc(ids, func(id pair) bool { return id.name == p.name }):
			faults = append(faults, fault{&faultParameter{p.name, all},
				"The query parameter [" + p.name + "] is not one of [" + strings.Join(rt.paramNames(), ",") + "]"})
		case len(all) > 1:
			faults = append(faults, fault{&faultParameter{p.name, all},
				"Duplicate parameters are not allowed: the `" + p.name + "` query parameter"})
		case p.value == "":
			faults = append(faults, fault{&faultParameter{p.name, nil}, "The `" + p.name + "` query parameter can not be empty"})
		default:
			list := strings.Split(p.value, ",")
			if i := slices.IndexFunc(list, func(v string) bool { return !slices.Contains(known.enum, v) }); i >= 0 {
				faults = append(faults, fault{&faultParameter{p.name, []string{p.value}},
					"The `" + p.name + "` query parameter value [" + list[i] + "] is not one of [" + strings.Join(known.enum, ",") + "]"})
			}
			values[p.name] = list
		}
	}
	return values, faults
}

func badValue(p pair, what string) fault {
	return fault{&faultParameter{p.name, []string{p.value}}, "The `" + p.name + "` query parameter value [" + p.value + "] " + what}
}

func (rt *route) param(name string) (param, bool) {
	i := slices.IndexFunc(rt.query, func(p param) bool { return p.name == name })
	if i < 0 {
		return param{}, false
	}
	return rt.query[i], true
}

// paramNames lists every parameter of the endpoint, those of the path first.
func (rt *route) paramNames() []string {
	names := rt.pathParams()
	for _, p := range rt.query {
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

func list(names string) []string { return strings.Split(names, ",") }

// The query parameters of endpoints that answer with posts, and of those that answer with users.
var (
	postQuery = []param{
		{"expansions", list("article.cover_media,article.media_entities,attachments.media_keys,attachments.media_source_tweet,attachments.poll_ids,author_id,edit_history_tweet_ids,entities.mentions.username,geo.place_id,in_reply_to_user_id,entities.note.mentions.username,referenced_tweets.id,referenced_tweets.id.author_id")},
		{"tweet.fields", postFields},
		{"media.fields", list("alt_text,duration_ms,height,media_key,non_public_metrics,organic_metrics,preview_image_url,promoted_metrics,public_metrics,type,url,variants,width")},
		{"poll.fields", list("duration_minutes,end_datetime,id,options,voting_status")},
		{"place.fields", list("contained_within,country,country_code,full_name,geo,id,name,place_type")},
		{"user.fields", userFields},
	}
	userQuery = []param{
		{"expansions", list("affiliation.user_id,most_recent_tweet_id,pinned_tweet_id")},
		{"tweet.fields", postFields},
		{"user.fields", userFields},
	}
	postFields = list("article,attachments,author_id,card_uri,community_id,context_annotations,conversation_id,created_at,display_text_range,edit_controls,edit_history_tweet_ids,entities,geo,id,in_reply_to_user_id,lang,media_metadata,non_public_metrics,note_tweet,organic_metrics,possibly_sensitive,promoted_metrics,public_metrics,referenced_tweets,reply_settings,scopes,source,text,withheld")
	userFields = list("affiliation,connection_status,created_at,description,entities,id,is_identity_verified,location,most_recent_tweet_id,name,parody,pinned_tweet_id,profile_banner_url,profile_image_url,protected,public_metrics,receives_your_dm,subscription,subscription_type,url,username,verified,verified_followers_count,verified_type,withheld")
)
