package api

import (
	_ "embed"
	"strings"
)

//go:embed words/2024.txt
var words2024 string

//go:embed words/2026.txt
var words2026 string

// words splits a list of words at white space.
func words(list string) []string { return strings.Fields(list) }

// paramWords returns the words that list parameters take, by the name of the parameter or by what the tag of its field
// says, in the order in which error texts print them. What the profile does not have is not in it.
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
