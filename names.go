package liked

import (
	"cmp"
	"strings"
	"unicode"
)

// Seen returns the name without what nobody sees in it, and with which it would read as another: controls, characters that turn
// the direction of text, and those without a width. Joiners and variants stay where they do something: in emoji and in
// scripts that join. hidden is the first that is left out.
func Seen(name string) (seen string, hidden rune) {
	before := ' '
	seen = strings.Map(func(r rune) rune {
		if unseen(before, r) {
			hidden = cmp.Or(hidden, r)
			return -1
		}
		before = r
		return r
	}, name)
	return seen, hidden
}

func unseen(before, r rune) bool {
	const blackFlag, brailleBlank, zwnj, zwj = '\U0001f3f4', '\u2800', '\u200c', '\u200d'
	tag := func(r rune) bool { return 0xe0020 <= r && r <= 0xe007f } // of the flags of regions
	switch {
	case tag(r):
		return before != blackFlag && !tag(before)
	case strings.ContainsRune("#*0123456789", before) && r == '\ufe0f': // keycaps
		return false
	case r == zwnj || r == zwj || unicode.Is(unicode.Variation_Selector, r):
		return before < '©' || unicode.In(before, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Cf)
	}
	return r == brailleBlank || unicode.IsControl(r) || !unicode.Is(unicode.Prepended_Concatenation_Mark, r) &&
		unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}
