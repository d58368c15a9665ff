package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"liked/internal/api"
)

// listWalk goes through a list page by page, first to its end and then back, while the world changes.
type listWalk struct {
	list
	viewer int
	token  string
	back   bool
	began  int               // likes there had been when it began or turned
	seen   map[int]bool      // items
	pages  []map[int]bool    // of the way there, to know which the way back must see
	must   map[listLike]bool // that were there all the time
}

func (m *listModel) beginWalk(t *rapid.T) {
	if len(m.walks) > 3 {
		m.walks = m.walks[1:]
	}
	w := &listWalk{viewer: m.someViewer(t), began: m.made, seen: map[int]bool{}, must: map[listLike]bool{}}
	if w.posts = rapid.Bool().Draw(t, "posts"); w.posts {
		w.of = anyUser(t)
	} else {
		w.of = anyPost(t)
	}
	likes, kind := m.want(w.viewer, w.list)
	if kind != 0 {
		return
	}
	for _, like := range likes {
		w.must[like] = true
	}
	m.walks = append(m.walks, w)
}

func (m *listModel) walkOn(t *rapid.T) {
	if len(m.walks) == 0 {
		m.beginWalk(t)
	}
	if len(m.walks) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.walks)-1).Draw(t, "walk")
	w := m.walks[i]
	if _, kind := m.want(w.viewer, w.list); kind != 0 || m.hidden[w.viewer] { // ended by somebody else
		m.walks = slices.Delete(m.walks, i, i+1)
		return
	}
	size := rapid.IntRange(1, 4).Draw(t, "size")
	if w.posts {
		size += 4
	}
	target := fmt.Sprintf("%s?max_results=%d", w.path(), size)
	if w.token != "" {
		target += "&pagination_token=" + w.token
	}
	p := m.get(t, w.viewer, target)
	if len(p.Data) > size || (w.token != "" && !w.back) != (p.Meta.Previous != "") && !w.back {
		t.Fatalf("GET %s: %d items, previous_token %q", target, len(p.Data), p.Meta.Previous)
	}
	page := map[int]bool{}
	for _, d := range p.Data {
		var id int
		fmt.Sscan(d.ID, &id)
		j := slices.IndexFunc(m.likes, func(like listLike) bool { return w.item(like) == id && m.in(w.list, like) })
		// A like that is set anew stands at the top: behind the way there, before the way back.
		if w.seen[id] && (!w.back || m.likes[j].id <= w.began) {
			t.Fatalf("GET %s: item %d for the second time", target, id)
		}
		w.seen[id], page[id] = true, true
		if !w.back && w.token != "" && m.likes[j].id > w.began {
			t.Fatalf("GET %s: item %d is newer than the walk", target, id)
		}
	}
	next := p.Meta.Next
	if w.back {
		next = p.Meta.Previous
	}
	if next != "" {
		if !w.back {
			w.pages = append(w.pages, page)
		}
		w.token = next
		return
	}
	for like := range w.must {
		if !w.seen[w.item(like)] {
			t.Fatalf("GET %s: the walk (back: %v) ended without item %d, like %d", target, w.back, w.item(like), like.id)
		}
	}
	if w.back || p.Meta.Previous == "" {
		m.walks = slices.Delete(m.walks, i, i+1)
		return
	}
	// Back from the last page: all that was on the pages before it and is what it was, and all that is newer.
	began := w.began
	w.back, w.token, w.seen, w.began = true, p.Meta.Previous, map[int]bool{}, m.made
	clear(w.must)
	now, _ := m.want(w.viewer, w.list)
	for _, like := range now {
		if like.id > began || slices.ContainsFunc(w.pages, func(p map[int]bool) bool { return p[w.item(like)] }) {
			w.must[like] = true
		}
	}
}

func (m *listModel) in(l list, like listLike) bool {
	return l.posts && like.user == l.of || !l.posts && like.post == original(l.of)
}

// TestWalk goes through lists that nobody changes: pages meet without a gap, both ways, whatever their size.
func TestWalk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *api.Options) { o.Limits = api.NoLimits() })
	w.do("user 1 author")
	for i := 1; i <= 23; i++ {
		w.do(fmt.Sprintf("post %d 1 post", i))
		w.do(fmt.Sprintf("user %d user%d", 100+i, i))
		w.do(fmt.Sprintf("like 1 %d", i))
		w.do(fmt.Sprintf("like %d 1", 100+i))
	}
	get := func(target string) (ids []string, next, previous string) {
		t.Helper()
		resp, text := w.request("author", "GET", target, nil)
		var p pageAnswer
		if err := json.Unmarshal([]byte(text), &p); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %d %s", target, resp.StatusCode, text)
		}
		for _, d := range p.Data {
			ids = append(ids, d.ID)
		}
		return ids, p.Meta.Next, p.Meta.Previous
	}
	for _, path := range []string{"/2/users/1/liked_tweets", "/2/tweets/1/liking_users"} {
		all, next, previous := get(path)
		if want := map[bool]int{true: 23, false: 24}[strings.HasPrefix(path, "/2/users")]; len(all) != want || next != "" || previous != "" {
			t.Fatalf("%s: %d items, next_token %q, previous_token %q, want %d items", path, len(all), next, previous, want)
		}
		for _, size := range []int{5, 6, 7, 8, 11, 12, 22, 23, 24, 100} {
			target := func(token string) string {
				if token == "" {
					return fmt.Sprintf("%s?max_results=%d", path, size)
				}
				return fmt.Sprintf("%s?max_results=%d&pagination_token=%s", path, size, token)
			}
			var there, back []string
			var pages [][]string
			token, last := "", ""
			for n := 1; ; n++ {
				ids, next, previous := get(target(token))
				if (previous != "") != (n > 1) {
					t.Errorf("%s page %d: previous_token %q", path, n, previous)
				}
				there, pages, last = append(there, ids...), append(pages, ids), previous
				if token = next; next == "" {
					break
				}
			}
			if !slices.Equal(there, all) {
				t.Errorf("%s in pages of %d: got %v, want %v", path, size, there, all)
			}
			for n := len(pages) - 2; last != ""; n-- {
				ids, next, previous := get(target(last))
				if n < 0 || !slices.Equal(ids, pages[n]) || next == "" {
					t.Fatalf("%s: back on page %d of %d: got %v, next_token %q, want %v", path, n+1, size, ids, next, pages[n])
				}
				back, last = append(slices.Clone(ids), back...), previous
			}
			if want := all[:len(all)-len(pages[len(pages)-1])]; !slices.Equal(back, want) {
				t.Errorf("%s back in pages of %d: got %v, want %v", path, size, back, want)
			}
		}
		// A token is good for any size, and past the end there is an empty page.
		first, next, _ := get(path + "?max_results=5")
		rest, end, previous := get(path + "?max_results=100&pagination_token=" + next)
		if got := append(first, rest...); !slices.Equal(got, all) || end != "" {
			t.Errorf("%s: got %v and next_token %q, want %v", path, got, end, all)
		}
		if newest, next2, _ := get(path + "?max_results=100&pagination_token=" + previous); !slices.Equal(newest, first) || next2 != next {
			t.Errorf("%s back: got %v, next_token %s, want %v, %s", path, newest, next2, first, next)
		}
	}

	// A token is bound to its list.
	_, next, _ := get("/2/tweets/1/liking_users?max_results=1")
	for _, target := range []string{"/2/tweets/2/liking_users", "/2/users/1/liked_tweets"} {
		if resp, text := w.request("author", "GET", target+"?pagination_token="+next, nil); resp.StatusCode != 400 {
			t.Errorf("%s with a token of another list: %d %s", target, resp.StatusCode, text)
		}
	}
	for i := 2; i <= 23; i++ {
		w.do(fmt.Sprintf("unlike %d 1", 100+i))
	}
	w.do("unlike 101 1")
	w.do("unlike 1 1")
	if ids, more, _ := get("/2/tweets/1/liking_users?pagination_token=" + next); len(ids) != 0 || more != "" {
		t.Errorf("past the end: got %v and next_token %q", ids, more)
	}
}
