package api_test

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"liked"
	"liked/internal/api"
	"liked/internal/likelog"
)

// Where likes are private, nothing tells others who likes what: two worlds that differ in that alone say the same to
// the letter, at every path, in every stream and to every subscription. Only the ids of likes may differ, which are a position
// encrypted, and so which partition of a stream has which like: that is what its id says.
func TestPrivateLikesAreNotTold(t *testing.T) {
	t.Parallel()
	for profile, then := range map[api.Profile]string{api.Profile2024: "protect 14", api.Profile2026: "state 14 suspended"} {
		one, other := privateWorld(t, profile, "11", "14", then), privateWorld(t, profile, "14", "11", then)
		for _, what := range slices.Sorted(maps.Keys(one)) {
			if one[what] != other[what] {
				t.Errorf("%s\nsays %s\nand, if others like what they like, %s", what, one[what], other[what])
			}
		}
		if len(one) < 50 || len(one) != len(other) {
			t.Errorf("%d and %d outputs were compared", len(one), len(other))
		}
	}
}

// privateWorld returns all that carol, bob's neighbour, and an app can see of a world in which two people like posts of
// bob's: the first likes 101, and took 103 back, the second 102 and 104; then an operator's line.
func privateWorld(t *testing.T, profile api.Profile, first, second, then string) map[string]string {
	var o api.Options
	w := newWorld(t, func(options *api.Options) { options.Profile, options.PrivateLikes, o = profile, true, *options })
	o.Profile, o.PrivateLikes = profile, true
	for _, line := range []string{"user 11 alice", "user 12 bob", "user 13 carol", "user 14 dave", "app-only machine",
		"oauth1 Carol 13 read-write", "post 101 12 a", "post 102 12 b", "post 103 12 c", "post 104 12 d",
		"like " + first + " 101", "sleep 1ms", "like " + second + " 102", "sleep 1ms", "like " + first + " 103", "sleep 1ms",
		"like " + second + " 104", "sleep 1ms", "unlike " + first + " 103", "sleep 1ms", "unlike " + second + " 104", "sleep 2s", then} {
		w.do(line)
	}
	seen := map[string]string{}
	for path, item := range w.document.Paths.Map() {
		op := item.Get
		if op == nil || path == "/2/openapi.json" || strings.HasSuffix(path, "/stream") {
			continue
		}
		query := url.Values{}
		for _, p := range op.Parameters {
			if words := p.Value.Schema.Value.Items; p.Value.In == "query" && words != nil && words.Value.Enum != nil {
				query.Set(p.Value.Name, strings.Trim(strings.ReplaceAll(fmt.Sprint(words.Value.Enum), " ", ","), "[]"))
			}
		}
		for _, target := range privateTargets(path, op) {
			if strings.Contains(target, "?") {
				target += "&" + query.Encode()
			} else {
				target += "?" + query.Encode()
			}
			for _, who := range []string{"carol", "machine"} {
				resp, body := w.request(who, "GET", target, nil)
				seen[who+" GET "+target] = resp.Status + " " + body
			}
		}
	}
	for _, user := range []string{"11", "12", "14"} {
		for _, who := range []string{"Carol", "machine"} {
			resp, body := w.request(who, "GET", "/1.1/favorites/list.json?user_id="+user, nil)
			seen[who+" lists favorites of "+user] = resp.Status + " " + body
		}
	}
	query := "start_time=2024-05-01T12:00:00Z&end_time=2024-05-01T12:00:01Z"
	fields := "&expansions=liked_tweet_id,liked_tweet_author_id&like_with_tweet_author.fields=liked_tweet_author_id&" + query
	var likes []string
	for n, target := range firehose(fields) {
		events := w.read("machine", target).rest()
		for _, event := range events {
			id, err := strconv.ParseUint(strings.TrimPrefix(event, `{"data":{"id":"`)[:8], 16, 32)
			if err != nil || int(id)%liked.Partitions != n {
				t.Errorf("partition %d has %s, whose id is of another", n+1, event)
			}
			likes = append(likes, withoutID(event))
		}
		if samples := sample(fields); n < len(samples) && !slices.Equal(w.read("machine", samples[n]).rest(), events) {
			t.Errorf("the sample's partition %d is not the firehose's: %q", n+1, events)
		}
	}
	slices.Sort(likes)
	seen["likes"] = strings.Join(likes, "\n")
	seen["compliance"] = strings.Join(w.read("machine", compliance+"?"+query).rest(), "\n")
	write := api.Activity(o)
	w.must(likelog.New(w.store).Between(t.Context(), likelog.All(), liked.Positions{}, w.ends(), func(entries []liked.LikeEvent) error {
		for _, e := range entries {
			for _, viewer := range []liked.UserID{0, 13} {
				body, err := write(context.Background(), liked.Subscription{ID: 7, App: w.app.ID, Viewer: viewer, User: e.User}, e)
				if body != nil || err != nil {
					t.Errorf("user %v is sent %s, %v", viewer, body, err)
				}
			}
		}
		return nil
	}))
	return seen
}

// privateTargets fills in a path and what its query must have.
func privateTargets(path string, op *openapi3.Operation) (targets []string) {
	values := map[string][]string{"{id}": {"11", "12", "14"}, "{username}": {"alice", "dave"}}
	if strings.Contains(path, "/tweets/{id}") {
		values["{id}"] = []string{"101", "102", "103", "104"}
	}
	for name, replacements := range values {
		if strings.Contains(path, name) {
			for _, value := range replacements {
				targets = append(targets, strings.ReplaceAll(path, name, value))
			}
		}
	}
	if targets == nil {
		targets = []string{path}
	}
	for _, p := range op.Parameters {
		if p.Value.In == "query" && p.Value.Required {
			value := map[string]string{"ids": "11,14,101,102,103,104", "usernames": "alice,bob,dave"}[p.Value.Name]
			for i := range targets {
				targets[i] += "?" + p.Value.Name + "=" + value
			}
		}
	}
	return targets
}

func (w *world) ends() liked.Positions {
	w.t.Helper()
	ends, err := w.store.LogEnds(w.t.Context())
	w.must(err)
	return ends
}

// Where likes are private, an app that a person registered for themselves has no streams.
func TestStreamsOfPeoplesApps(t *testing.T) {
	t.Parallel()
	for _, private := range []bool{false, true} {
		w := streamWorld(t, func(o *api.Options) { o.PrivateLikes = private })
		_, secrets, err := w.auth.NewApp(t.Context(), liked.App{Name: "mine", Owner: 11})
		w.must(err)
		w.tokens["mine"] = "Bearer " + secrets.Bearer
		want := map[bool]int{false: 200, true: 403}[private]
		for _, target := range []string{firehose("")[0], sample("")[0], compliance} {
			if resp, _ := w.connect("mine", target); resp.StatusCode != want {
				t.Errorf("private likes %v: %s answers %d, want %d", private, target, resp.StatusCode, want)
			}
		}
	}
}
