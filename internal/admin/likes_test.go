package admin_test

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

type likePage struct {
	Likes []struct{ User, Post string }
	Posts []struct{ ID, Text string }
	Users []struct{ ID, Username string }
	Next  string
}

// The likes of a user, and of a post, are whole in pages of any size, whoever may see them, while likes come and go.
func TestLikesInPages(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	set := func(method, path, body string) { t.Helper(); get[any](t, srv, method, path, body) }
	set("PUT", "/admin/users/zoe", `{}`)
	set("PUT", "/admin/users/max", `{}`)
	set("PUT", "/admin/posts/900", `{"author":"max","text":"of a protected author"}`)
	set("PUT", "/admin/posts/901", `{"author":"zoe","text":"many"}`)
	var posts, users []string
	for _, p := range srv.Posts[:5] {
		set("PUT", "/admin/likes/zoe/"+p.ID.String(), "")
		posts = append(posts, p.ID.String())
	}
	set("PUT", "/admin/likes/zoe/900", "")
	posts = append(posts, "900")
	for _, name := range []string{"alice", "bob", "carol", "max", "dave"} {
		set("PUT", "/admin/likes/"+name+"/901", "")
		users = append(users, name)
	}
	set("PUT", "/admin/users/max", `{"protected":true}`)
	set("PUT", "/admin/users/bob", `{"state":"suspended"}`)
	set("PUT", "/admin/users/zoe", `{"state":"suspended"}`)
	slices.Reverse(posts)
	slices.Reverse(users)
	for query, want := range map[string][]string{"user=zoe": posts, "post=901": users} {
		for _, most := range []int{1, 2, 6, 1000} {
			var got []string
			for next := "/admin/likes?max=" + strconv.Itoa(most) + "&" + query; next != ""; {
				page := get[likePage](t, srv, "GET", next, "")
				if len(page.Likes) > most || len(got) > 20 || len(page.Posts)+len(page.Users) != len(page.Likes) {
					t.Fatalf("%s: a page of at most %d has %d likes, %d posts, %d users", query, most, len(page.Likes), len(page.Posts), len(page.Users))
				}
				for i, l := range page.Likes {
					if page.Posts != nil {
						got = append(got, page.Posts[i].ID)
					} else {
						got = append(got, page.Users[i].Username)
					}
					if page.Posts != nil && page.Posts[i].ID != l.Post || page.Users != nil && page.Users[i].ID != l.User {
						t.Errorf("%s: like %+v stands beside %+v %+v", query, l, page.Posts, page.Users)
					}
				}
				if next = ""; page.Next != "" {
					next = "/admin/likes?max=" + strconv.Itoa(most) + "&after=" + page.Next + "&" + query
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s in pages of %d: got %q, want %q", query, most, got, want)
			}
		}
	}

	// A walk is not disturbed by a like that is taken back behind it, and made again.
	set("PUT", "/admin/users/zoe", `{"state":"active"}`)
	first := get[likePage](t, srv, "GET", "/admin/likes?post=901&max=2", "")
	set("DELETE", "/admin/likes/"+users[1]+"/901", "")
	set("PUT", "/admin/likes/"+users[1]+"/901", "")
	second := get[likePage](t, srv, "GET", "/admin/likes?post=901&max=2&after="+first.Next, "")
	if got := second.Users[0].Username + " " + second.Users[1].Username; got != users[2]+" "+users[3] {
		t.Errorf("after a page of 2: got %q, want %q", got, users[2:4])
	}
	for _, query := range []string{"user=zoe&after=x", "user=zoe&after=-1", "user=zoe&max=0", "post=x"} {
		if status, text := call(t, srv, "GET", "/admin/likes?"+query, ""); status != 400 {
			t.Errorf("%s: got %d %s, want 400", query, status, text)
		}
	}
}

// Users are found by ids, posts by a part of their text and by id, whoever may see them.
func TestSearch(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	alice, bob := srv.Users["alice"].ID.String(), srv.Users["bob"].ID.String()
	page := get[likePage](t, srv, "GET", "/admin/users?ids="+url.QueryEscape(bob+",1,"+alice), "")
	if len(page.Users) != 2 || page.Users[0].Username != "bob" || page.Users[1].Username != "alice" {
		t.Errorf("got %+v, want bob and alice", page.Users)
	}
	for _, ids := range []string{"x", "", "1,", strings.Repeat("1,", 1000) + "1"} {
		if status, text := call(t, srv, "GET", "/admin/users?ids="+ids, ""); status != 400 {
			t.Errorf("ids %.10q: got %d %s, want 400", ids, status, text)
		}
	}
	get[any](t, srv, "PUT", "/admin/posts/900", `{"author":"bob","text":"An OCTOPUS"}`)
	get[any](t, srv, "PUT", "/admin/users/bob", `{"protected":true,"state":"suspended"}`)
	if text := get[struct{ Text string }](t, srv, "GET", "/admin/posts/900", "").Text; text != "An OCTOPUS" {
		t.Errorf("a protected user's post: got %q", text)
	}
	const far = 1100 // more posts than are looked at for one page
	var lines strings.Builder
	for n := range far {
		fmt.Fprintf(&lines, `{"type":"post","id":"%d","author_id":"%s","text":"octopod %d","created_at":"2020-01-01T00:00:00.000Z"}`+"\n",
			n+1000, alice, n)
	}
	get[any](t, srv, "POST", "/admin/import", lines.String())
	for query, want := range map[string]struct{ first, all int }{
		"contains=octopus":                     {first: 0, all: 1},
		"contains=Octopod&max=10":              {first: 10, all: far},
		"contains=Octopod&max=1000":            {first: 1000 - len(srv.Posts), all: far},
		"contains=octopod+1099&author=alice":   {first: 1, all: 1},
		"contains=octopus&author=alice":        {first: 0, all: 0},
		"contains=octopus&author=bob":          {first: 1, all: 1},
		"contains=nothing+like+this&max=1000":  {first: 0, all: 0},
		"contains=octo&max=1&before=1000":      {first: 1, all: 1},
		"contains=octo&max=1&before=900":       {first: 0, all: 0},
		"author=bob&max=1000&contains=OCTOPUS": {first: 1, all: 1},
	} {
		pages, found, first := 0, 0, -1
		for next := "/admin/posts?" + query; next != ""; pages++ {
			page := get[likePage](t, srv, "GET", next, "")
			found += len(page.Posts)
			if first < 0 {
				first = len(page.Posts)
			}
			if next = ""; page.Next != "" {
				at, _ := url.ParseQuery(query)
				at.Set("before", page.Next)
				next = "/admin/posts?" + at.Encode()
			}
		}
		if first != want.first || found != want.all || pages > far {
			t.Errorf("%s: got %d posts, %d of them on the first of %d pages, want %d and %d", query, found, first, pages, want.all, want.first)
		}
	}
}
