package liked_test

import (
	"errors"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// allowed is who may import what: for each package of ours, the packages of ours and the modules from outside that its
// sources may import beyond the standard library. A new package or a new edge is a decision, made by a line here. Test
// files may import more.
var allowed = map[string]struct{ ours, outside string }{
	".":                        {"", ""},
	"internal/store":           {".", ""},
	"internal/store/storetest": {". internal/store", "github.com/anishathalye/porcupine pgregory.net/rapid"},
	"internal/store/valid":     {". internal/store", ""},
	"internal/store/sight":     {". internal/store", ""},
	"internal/store/pebblestore": {". internal/store internal/store/valid internal/store/sight internal/limit internal/cache internal/clock",
		"github.com/cockroachdb/pebble/v2"},
	"internal/store/pgstore": {". internal/store internal/store/valid internal/store/sight internal/limit internal/cache",
		"github.com/jackc/pgx/v5"},
	"internal/store/pgstore/pgtest": {"", "github.com/jackc/pgx/v5 golang.org/x/sys"},
	"internal/limit":                {". internal/store", ""},
	"internal/clock":                {".", ""},
	"internal/cache":                {"", ""},
	"internal/exchange":             {".", "golang.org/x/net"},
	"internal/journal":              {". internal/exchange internal/clock", ""},
	"internal/faults":               {". internal/exchange internal/clock internal/strictjson", "golang.org/x/net"},
	"internal/strictjson":           {"", "github.com/go-json-experiment/json"},
	"internal/fastpath":             {"", ""},
	"internal/backup":               {"internal/store internal/strictjson", "github.com/cockroachdb/pebble/v2"},
	"internal/likelog":              {".", ""},
	"internal/webhook": {`. internal/exchange internal/faults internal/store internal/clock internal/likelog
		internal/strictjson`, ""},
	"internal/admin": {`. internal/journal internal/exchange internal/faults internal/store internal/auth
		internal/archive internal/backup internal/web
		internal/webhook internal/clock internal/strictjson`, "github.com/google/jsonschema-go"},
	"internal/seed": {". internal/store internal/auth internal/postman internal/strictjson", ""},
	"internal/web":  {".", ""},
	"internal/auth": {". internal/exchange internal/store internal/cache", "golang.org/x/crypto"},
	"internal/enginetest": {"internal/store internal/store/pebblestore internal/store/pgstore internal/store/pgstore/pgtest",
		"github.com/cockroachdb/pebble/v2"},
	"internal/authtest": {". internal/store internal/enginetest internal/auth", ""},
	"internal/oauth":    {". internal/faults internal/store internal/exchange internal/auth internal/web", ""},
	"internal/portal":   {". internal/store internal/auth internal/oauth internal/web internal/webhook", ""},
	"internal/explorer": {"internal/oauth internal/web", ""},
	"internal/console":  {". internal/admin internal/clock internal/exchange internal/faults internal/journal internal/web", ""},
	"internal/postman":  {"", ""},
	"internal/home":     {". internal/exchange internal/store internal/likelog internal/web", ""},
	"internal/api":      {". internal/faults internal/exchange internal/store internal/likelog internal/webhook internal/strictjson", ""},
	"internal/server": {`. internal/journal internal/faults internal/exchange internal/store
		internal/store/pebblestore internal/store/pgstore internal/backup
		internal/admin internal/auth internal/oauth internal/portal internal/explorer internal/home
		internal/console internal/api internal/fastpath internal/seed
		internal/web internal/postman internal/likelog internal/webhook internal/clock internal/strictjson`,
		"github.com/prometheus/client_golang golang.org/x/sys"},
	"internal/archive": {". internal/store internal/strictjson",
		"github.com/fxamacker/cbor/v2 github.com/klauspost/compress github.com/mikelolasagasti/xz golang.org/x/text"},
	"internal/bench": {"",
		"github.com/HdrHistogram/hdrhistogram-go github.com/cockroachdb/pebble/v2 github.com/jackc/pgx/v5 golang.org/x/sys"},
	"cmd/liked": {`. internal/exchange internal/journal internal/server internal/admin internal/clock internal/seed internal/archive
		internal/backup internal/bench internal/capture internal/store internal/store/pgstore internal/strictjson`,
		`github.com/KimMachineGun/automemlimit github.com/alecthomas/kong github.com/joho/godotenv
		github.com/schollz/progressbar/v3 golang.org/x/sys golang.org/x/term`},
	"internal/capture":  {"", "golang.org/x/net golang.org/x/sys software.sslmate.com/src/go-pkcs12"},
	"internal/scale":    {"", ""},
	"internal/livetest": {"internal/bench internal/server", ""},
	"likedtest":         {". internal/exchange internal/journal internal/server internal/admin internal/seed", ""},
}

func TestArchitecture(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "compat" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		rule, ok := allowed[dir]
		if !ok {
			t.Errorf("%s: package %s is not in the table of allowed imports", path, dir)
			return nil
		}
		seen[dir] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !permitted(dir, rule.ours, rule.outside, name) {
				t.Errorf("%s imports %s, which the table does not allow %s", path, name, dir)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir := range allowed {
		if !seen[dir] {
			t.Errorf("%s is in the table and has no sources", dir)
		}
	}
}

func permitted(dir, ours, outside, name string) bool {
	if name == "liked" || strings.HasPrefix(name, "liked/") {
		dir := strings.TrimPrefix(strings.TrimPrefix(name, "liked"), "/")
		if dir == "" {
			dir = "."
		}
		return slices.Contains(strings.Fields(ours), dir)
	}
	if first, _, _ := strings.Cut(name, "/"); !strings.Contains(first, ".") { // the standard library
		return dir != "." || name != "net/http"
	}
	return slices.ContainsFunc(strings.Fields(outside), func(module string) bool {
		return name == module || strings.HasPrefix(name, module+"/")
	})
}

// The check above must be able to fail.
func TestArchitectureRefuses(t *testing.T) {
	for _, edge := range []struct{ dir, name string }{
		{".", "net/http"}, {".", "liked/internal/store"}, {"internal/api", "liked/internal/auth"}, {"internal/store", "github.com/x/y"},
		{"internal/api", "liked/internal/store/storetest"},
	} {
		if rule := allowed[edge.dir]; permitted(edge.dir, rule.ours, rule.outside, edge.name) {
			t.Errorf("%s may import %s", edge.dir, edge.name)
		}
	}
}

// maxLine is how many characters a line of Go may have, a tab being one.
const maxLine = 140

// tooLong returns the numbers of the lines that are longer.
func tooLong(source string) (numbers []int) {
	n := 0
	for line := range strings.Lines(source) {
		n++
		if utf8.RuneCountInString(strings.TrimRight(line, "\r\n")) > maxLine {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// No line of Go is wider than a reader's window, tests and other modules included.
func TestLineLength(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // of what other tests build here, and remove
			return nil
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		files++
		source, err := os.ReadFile(path)
		for _, n := range tooLong(string(source)) {
			t.Errorf("%s:%d has more than %d characters: break it where a thought ends", path, n, maxLine)
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files of Go, %v", files, err)
	}
}

func TestLineLengthCountsCharacters(t *testing.T) {
	fits := "\t" + strings.Repeat("é", maxLine-1)
	if got := tooLong(fits + "\n" + fits + "x\r\n\n" + fits + "\r\n" + fits + "é"); !slices.Equal(got, []int{2, 5}) {
		t.Errorf("lines %v are too long, want 2 and 5", got)
	}
}
