package api

import (
	_ "embed"
	"strings"
)

//go:embed words/2024.txt
var words2024 string

//go:embed words/2026.txt
var words2026 string

//go:embed words/event_types.txt
var eventTypes string // of the activity API, in the order of error texts

func words(list string) []string { return strings.Fields(list) }

// paramWords returns the profile's words of list parameters, by name or words tag, in the order of error texts.
func (f facts) paramWords() map[string][]string {
	all := map[string][]string{}
	var list string
	for _, word := range words(f.words) {
		if name, ok := strings.CutSuffix(word, ":"); ok {
			list = name
		} else {
			all[list] = append(all[list], word)
		}
	}
	return all
}
