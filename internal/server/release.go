package server

import (
	"runtime/debug"
	"strings"

	"liked/internal/backup"
)

// Release says what this program is.
type Release struct {
	Version  string  `json:"version"`            // "(devel)" unless it was built as a module at a version
	Commit   string  `json:"commit,omitempty"`   // if it was built in a repository
	Date     string  `json:"date,omitempty"`     // of the commit
	Modified bool    `json:"modified,omitempty"` // the working tree differed from the commit
	Go       string  `json:"go"`
	Formats  Formats `json:"formats"`
}

// Formats are the versions of files that the program writes.
type Formats struct {
	Store     int `json:"store"`
	StoreFrom int `json:"store_from"` // the oldest that is raised
	Backup    int `json:"backup"`
}

// ThisRelease reads what the Go tools wrote into the program.
func ThisRelease() Release {
	r := Release{Version: "(devel)", Formats: Formats{Store: storeFormat, StoreFrom: 1, Backup: backup.Format}}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return r
	}
	r.Go = info.GoVersion
	if info.Main.Version != "" {
		r.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			r.Commit = s.Value
		case "vcs.time":
			r.Date = s.Value
		case "vcs.modified":
			r.Modified = s.Value == "true"
		}
	}
	return r
}

// String is one line without the formats.
func (r Release) String() string {
	parts := []string{"liked", r.Version}
	if r.Commit != "" {
		parts = append(parts, "commit", r.Commit, "of", r.Date)
	}
	if r.Modified {
		parts = append(parts, "(modified)")
	}
	return strings.Join(append(parts, r.Go), " ")
}
