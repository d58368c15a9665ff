package postman

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the shapes of the collections in testdata")

// collection returns what is made of the description that a server of the profile has.
func collection(t *testing.T, profile string) (text string, folders []folder) {
	t.Helper()
	description, err := os.ReadFile("../api/testdata/openapi-" + profile + ".json")
	if err != nil {
		t.Fatal(err)
	}
	text = string(Collection(description, "http://127.0.0.1:8080"))
	var c struct{ Item []folder }
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return text, c.Item
}

// TestShape compares the order, the names, the methods, the addresses and the authorizations of all requests with
// testdata, which -update rewrites.
func TestShape(t *testing.T) {
	for _, profile := range []string{"2024", "2026"} {
		_, folders := collection(t, profile)
		var got strings.Builder
		ids := map[string]bool{}
		for _, f := range folders {
			fmt.Fprintf(&got, "%s\n", f.Name)
			for _, it := range f.Item {
				auth := it.Request.Auth["type"]
				if it.Request.Auth == nil {
					auth = "the collection's"
				}
				fmt.Fprintf(&got, "\t%s: %s %s, %v\n", it.Name, it.Request.Method, it.Request.URL.Raw, auth)
				if ids[it.ID] {
					t.Errorf("two requests have the id %q", it.ID)
				}
				ids[it.ID] = true
			}
		}
		file := "testdata/shape-" + profile + ".txt"
		want, err := os.ReadFile(file)
		if *update {
			err, want = os.WriteFile(file, []byte(got.String()), 0o644), []byte(got.String())
		}
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s is not the shape any more; go test ./internal/postman -update rewrites it. It is\n%s", file, got.String())
		}
	}
}

// TestVariables: what requests take from outside is in the environment, or an earlier request sets it.
func TestVariables(t *testing.T) {
	for _, profile := range []string{"2024", "2026"} {
		text, folders := collection(t, profile)
		known := strings.Fields(shown + " " + secret + " hourAgo thisMinute $guid $isoTimestamp")
		for _, f := range folders {
			for _, it := range f.Item {
				whole, err := json.Marshal(it.Request)
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range regexp.MustCompile(`\{\{([^}]+)\}\}`).FindAllStringSubmatch(string(whole), -1) {
					if !slices.Contains(known, name[1]) {
						t.Errorf("%s: the variable %s is not known by then", it.ID, name[1])
					}
				}
				for _, e := range it.Event {
					for _, set := range regexp.MustCompile(`pm.environment.set\("(\w+)"`).FindAllStringSubmatch(fmt.Sprint(e.Script["exec"]), -1) {
						known = append(known, set[1])
					}
				}
			}
		}
		if len(known) < 22 || !strings.Contains(text, "{{newPostId}}") {
			t.Errorf("%s: no request sets anything: %v", profile, known)
		}
	}
}

// TestEnvironment: an environment has every variable, and secrets only where they are wanted.
func TestEnvironment(t *testing.T) {
	e := Environment{"baseUrl": "http://x", "accessToken": "s3cret"}
	for _, secrets := range []bool{false, true} {
		text := string(e.Encode(secrets))
		if !strings.Contains(text, `"http://x"`) || strings.Contains(text, "s3cret") != secrets || !strings.Contains(text, `"webhookUrl"`) {
			t.Errorf("secrets %v: %s", secrets, text)
		}
	}
}
