package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"liked/internal/admin"
	"liked/internal/backup"
	"liked/internal/seed"
	"liked/internal/server"
)

// backUp takes a backup of the server into a directory.
func backUp(t *testing.T, srv *server.Server, dir string) (backup.Received, error) {
	t.Helper()
	target, err := backup.Into(t.Context(), dir, func(int) {})
	if err != nil {
		return backup.Received{}, err
	}
	return receive(t, srv, target)
}

func receive(t *testing.T, srv *server.Server, target *backup.Target) (backup.Received, error) {
	body, _ := json.Marshal(admin.BackupWish{Have: target.Have()})
	r, _ := http.NewRequest("POST", srv.AdminURL()+"/admin/backup", bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+srv.AdminToken)
	resp, err := client(t, nil).Do(r)
	if err != nil {
		target.Abandon()
		return backup.Received{}, err
	}
	defer resp.Body.Close()
	return target.Receive(t.Context(), resp.Body, func(int64) {}, func(int) {})
}

func restore(t *testing.T, from, data, key string) (admin.Report, error) {
	t.Helper()
	b, err := backup.Open(from)
	if err != nil {
		return admin.Report{}, err
	}
	return server.Restore(t.Context(), b, data, key, time.Now(), func(int) {})
}

// entries returns the names of all files below a directory, but for the lock, which holds nothing.
func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "lock" {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// A backup is restored as it is or not at all: whatever is done to any of its files, restoring it is refused, and leaves
// nothing behind.
func TestTamperedBackup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	config := server.Config{Data: data, Seed: world()}
	config.Seed.Seed = 0
	srv, stop := start(t, config)
	k := srv.Credentials()
	c := client(t, nil)
	like(t, c, k)
	if err := stop(); err != nil { // what was written becomes tables when the directory is opened again
		t.Fatal(err)
	}
	srv, stop = start(t, config)
	whole := filepath.Join(dir, "backup")
	got, err := backUp(t, srv, whole)
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string]bool)
	for _, f := range got.Files {
		kind, _, _ := strings.Cut(f.Name, "-")
		kinds[strings.Trim(kind, "0123456789")] = true
	}
	for _, kind := range []string{".sst", ".log", "MANIFEST", "OPTIONS"} {
		if !kinds[kind] {
			t.Errorf("the backup has no %s among %v", kind, kinds)
		}
	}
	key := filepath.Join(data, "seal.key")
	flip := func(at func(n int) int) func(string) error {
		return func(path string) error {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content[at(len(content))] ^= 4
			return os.WriteFile(path, content, 0o600)
		}
	}
	tries := 0
	for name, spoil := range map[string]func(path string) error{
		"first byte": flip(func(int) int { return 0 }),
		"middle":     flip(func(n int) int { return n / 2 }),
		"last byte":  flip(func(n int) int { return n - 1 }),
		"cut short":  func(path string) error { info, _ := os.Stat(path); return os.Truncate(path, info.Size()-1) },
		"longer": func(path string) error {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, append(content, 0), 0o600)
		},
		"missing": os.Remove,
	} {
		for i, original := range entries(t, whole) {
			if info, err := os.Stat(original); err == nil && info.Size() == 0 && name != "missing" && name != "longer" {
				continue
			}
			spoiled := filepath.Join(dir, fmt.Sprint(name, i))
			if err := os.CopyFS(spoiled, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			path := strings.Replace(original, whole, spoiled, 1)
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			tries++
			into := filepath.Join(dir, "restored")
			if _, err := restore(t, spoiled, into, key); !says(err, "restore another") {
				t.Errorf("%s of %s: got error %v, want that another backup is to be restored", name, filepath.Base(original), err)
			}
			if _, err := os.Stat(into); err == nil {
				t.Fatalf("%s of %s: something is left of the restore", name, original)
			}
		}
	}
	if tries < 20 {
		t.Errorf("got %d tries", tries)
	}

	// The whole one is restored, with the key beside it or with a new one, and not with another.
	if _, err := restore(t, whole, filepath.Join(dir, "one"), key); err != nil {
		t.Error(err)
	}
	if _, err := restore(t, whole, filepath.Join(dir, "two"), ""); err != nil {
		t.Error(err)
	}
	other := filepath.Join(dir, "two", "seal.key")
	if _, err := restore(t, whole, filepath.Join(dir, "three"), other); !says(err, "key of another data directory") {
		t.Errorf("with another key: got error %v", err)
	}
	srv, _ = start(t, server.Config{Data: filepath.Join(dir, "one")})
	k.URL = srv.URL()
	like(t, c, k) // the token is still good
}

// The second backup brings what is new, removes what is not needed, and mends what was damaged. One that does not come to
// its end leaves the one before.
func TestBackupAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := server.Config{Data: filepath.Join(dir, "data"), Seed: world()}
	config.Seed.Posts = 2000
	_, stop := start(t, config)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	srv, _ := start(t, config)
	k := srv.Credentials()
	whole := filepath.Join(dir, "backup")
	first, err := backUp(t, srv, whole)
	if err != nil {
		t.Fatal(err)
	}
	like(t, client(t, nil), k)
	second, err := backUp(t, srv, whole)
	if err != nil {
		t.Fatal(err)
	}
	if first.NewBytes < 50_000 || second.NewBytes > 5_000 || second.NewBytes == 0 || second.Bytes < first.Bytes {
		t.Errorf("got %d bytes, then %d of %d, want much and then little", first.NewBytes, second.NewBytes, second.Bytes)
	}
	if got := len(entries(t, whole)); got > len(second.Files)+1 {
		t.Errorf("got %d files in the directory, want those of the backup alone, %d, and its manifest", got, len(second.Files))
	}

	// Cut short wherever it may be, the next one leaves all as it is.
	before := entries(t, whole)
	like(t, client(t, nil), k)
	u := k.Users[0]
	k.Users = append(k.Users, u)
	like(t, client(t, nil), k)
	var all bytes.Buffer
	target, err := backup.Into(t.Context(), whole, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	body, _ := json.Marshal(admin.BackupWish{Have: target.Have()})
	r, _ := http.NewRequest("POST", srv.AdminURL()+"/admin/backup", bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+srv.AdminToken)
	resp, err := client(t, nil).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, err = all.ReadFrom(resp.Body)
	resp.Body.Close()
	target.Abandon()
	if err != nil {
		t.Fatal(err)
	}
	cuts := 0
	for n := 0; n < all.Len()-2048; n += 1 + all.Len()/100 { // the archive ends with zeros that a reader ignores
		target, err := backup.Into(t.Context(), whole, func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		_, err = target.Receive(t.Context(), bytes.NewReader(all.Bytes()[:n]), func(int64) {}, func(int) {})
		if !says(err, "cut short") && !says(err, "EOF") {
			t.Errorf("after %d of %d bytes: got error %v, want that it was cut short", n, all.Len(), err)
		}
		if got := entries(t, whole); fmt.Sprint(got) != fmt.Sprint(before) {
			t.Fatalf("after %d of %d bytes: got files %v, want %v", n, all.Len(), got, before)
		}
		cuts++
	}
	if cuts < 50 {
		t.Errorf("got %d cuts", cuts)
	}
	report, err := restore(t, whole, filepath.Join(dir, "second"), "")
	if err != nil || report.Likes != 1 {
		t.Errorf("restored after backups that were cut short: got %d likes, %v, want 1", report.Likes, err)
	}

	// A file that the disk has damaged is copied again.
	largest := slices.MaxFunc(before, func(a, b string) int { return int(size(t, a) - size(t, b)) })
	if err := os.Truncate(largest, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := restore(t, whole, filepath.Join(dir, "damaged"), ""); err == nil {
		t.Error("a damaged backup was restored")
	}
	if third, err := backUp(t, srv, whole); err != nil || third.NewBytes < 50_000 {
		t.Errorf("the third backup: got %d new bytes, %v, want the damaged file again", third.NewBytes, err)
	}
	report, err = restore(t, whole, filepath.Join(dir, "third"), "")
	if err != nil || report.Likes != 2 {
		t.Errorf("restored after the third: got %d likes, %v, want 2", report.Likes, err)
	}
}

// Of any number of backups into one directory at once, each is refused or whole, and what is left is whole.
func TestBackupsAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := filepath.Join(dir, "backup")
	srv, _ := start(t, server.Config{Data: filepath.Join(dir, "data"), Seed: world()})
	refused := func(err error) bool {
		return err != nil && strings.Contains(err.Error(), "another backup into "+whole+" is under way")
	}
	for range 2 { // the first round has an empty directory
		done := make(chan error)
		for range 8 {
			go func() {
				target, err := backup.Into(t.Context(), whole, func(int) {})
				if err == nil {
					_, againErr := backup.Into(t.Context(), whole, func(int) {})
					if !refused(againErr) {
						t.Errorf("into a directory that is taken: got error %v", againErr)
					}
					_, err = receive(t, srv, target)
				}
				done <- err
			}()
		}
		for range 8 {
			if err := <-done; err != nil && !refused(err) {
				t.Errorf("got error %v, want none or that another is under way", err)
			}
		}
		if _, err := backUp(t, srv, whole); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if _, err := restore(t, whole, filepath.Join(t.TempDir(), "restored"), ""); err != nil {
			t.Error(err)
		}
	}
}

// A data directory whose restore was killed is refused until it is removed.
func TestRestoreKilled(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(filepath.Join(dir, "restoring", "store"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := server.New(server.Config{Data: dir}); !says(err, "remove it and restore again") {
		t.Errorf("a server on it: got error %v", err)
	}
	whole := filepath.Join(t.TempDir(), "backup")
	srv, _ := start(t, server.Config{Data: filepath.Join(t.TempDir(), "other")})
	if _, err := backUp(t, srv, whole); err != nil {
		t.Fatal(err)
	}
	if _, err := restore(t, whole, dir, ""); !says(err, "remove it and restore again") {
		t.Errorf("a restore into it: got error %v", err)
	}
}

// Where the key is lost, OAuth 1.0a requests are refused as those with unknown keys are, with X's own words, and the log
// says why. Requests that need no sealed secret are answered, and new API keys work.
func TestRestoredWithNewKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := server.Config{Data: filepath.Join(dir, "data"), Seed: world()}
	srv, stop := start(t, config)
	k := srv.Credentials()
	c := client(t, nil)
	nonces := 0
	call := func(k seed.Credentials, method, path, authorization, body string) (int, string) {
		t.Helper()
		if authorization == "" {
			nonces++
			authorization = signed(k, k.URL+path, fmt.Sprint("nonce", nonces))
		}
		r, err := http.NewRequest(method, k.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", authorization)
		if body != "" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var text bytes.Buffer
		if _, err := text.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, text.String()
	}
	basic := func(k seed.Credentials) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(k.Apps[0].APIKey+":"+k.Apps[0].APISecret))
	}
	const me, v1, appToken, grant = "/2/users/me", "/1.1/account/verify_credentials.json", "/oauth2/token", "grant_type=client_credentials"
	if status, body := call(k, "GET", me, "", ""); status != 200 {
		t.Fatalf("before: %d %s", status, body)
	}
	whole := filepath.Join(dir, "backup")
	if _, err := backUp(t, srv, whole); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(dir, "restored")
	if _, err := restore(t, whole, restored, ""); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	srv, _ = start(t, server.Config{Data: restored, Logger: slog.New(slog.NewTextHandler(log, nil))})
	k.URL, k.AdminURL, k.AdminToken = srv.URL(), srv.AdminURL(), srv.AdminToken
	answerTo := func(path string) string { // to an app with an unknown API key
		stranger := k
		stranger.Apps = []seed.App{{APIKey: "unknown", APISecret: "x"}}
		_, body := call(stranger, "GET", path, "", "")
		return body
	}
	for _, tt := range []struct {
		name, method, path, authorization, body string
		status                                  int
		want                                    string
	}{
		{"v2", "GET", me, "", "", 401, answerTo(me)},
		{"v1.1", "GET", v1, "", "", 401, answerTo(v1)},
		{"app-only token", "POST", appToken, basic(k), grant, 403,
			`{"errors":[{"code":99,"label":"authenticity_token_error","message":"Unable to verify your credentials"}]}`},
		{"OAuth 2.0", "GET", me, "Bearer " + k.Users[0].AccessToken, "", 200, k.Users[0].Username},
		{"app-only", "GET", "/2/users/" + k.Users[0].ID.String(), "Bearer " + k.Apps[0].BearerToken, "", 200, k.Users[0].Username},
	} {
		if status, body := call(k, tt.method, tt.path, tt.authorization, tt.body); status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, status, body, tt.status, tt.want)
		}
	}
	text, err := os.ReadFile(log.Name())
	if lost := bytes.Count(text, []byte("is lost: it was sealed with another key")); err != nil || lost != 3 {
		t.Errorf("the log says %d times that a secret is lost (%v), want 3:\n%s", lost, err, text)
	}
	if bytes.Contains(text, []byte("level=ERROR")) {
		t.Errorf("the log has an error of the server's:\n%s", text)
	}

	// What is given out anew works.
	issue := func(path string, in, out any) {
		t.Helper()
		body, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		resp, text := send(t, c, "POST", k.AdminURL+path, k.AdminToken, string(body))
		if err := json.Unmarshal([]byte(text), out); err != nil || resp.StatusCode >= 300 {
			t.Fatalf("%s: %s %s, %v", path, resp.Status, text, err)
		}
	}
	var app admin.MadeApp
	issue("/admin/apps/"+k.Apps[0].ClientID+"/secrets", admin.NewSecret{What: "api_keys"}, &app)
	k.Apps[0].APIKey, k.Apps[0].APISecret = app.APIKey, app.APISecret
	var token admin.Token
	issue("/admin/tokens", admin.NewToken{Kind: "oauth1", App: app.ID.String(), User: k.Users[0].Username}, &token)
	old := k.Users[0]
	k.Users[0].OAuth1Token, k.Users[0].OAuth1TokenSecret = token.Token, token.TokenSecret
	for _, path := range []string{me, v1} {
		if status, body := call(k, "GET", path, "", ""); status != 200 {
			t.Errorf("new API keys, GET %s: %d %s", path, status, body)
		}
	}
	if status, body := call(k, "POST", appToken, basic(k), grant); status != 200 {
		t.Errorf("new API keys, an app-only token: %d %s", status, body)
	}
	k.Users[0] = old
	if status, body := call(k, "GET", v1, "", ""); status != 401 {
		t.Errorf("new API keys and an old token: %d %s, want 401", status, body)
	}
}
