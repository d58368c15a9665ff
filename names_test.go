package liked_test

import (
	"testing"

	"liked"
)

func TestSeen(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "Ada Lovelace", " Ádá ", "د. سارة", "می\u200cخواهم", "ക്\u200d", "👩\u200d💻", "❤\ufe0f\u200d🔥",
		"#\ufe0f\u20e3 1",
		"©\ufe0f", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "葛\U000e0100", "\u0601123"} {
		if seen, hidden := liked.Seen(name); seen != name || hidden != 0 {
			t.Errorf("%+q: got %+q without %U", name, seen, hidden)
		}
	}
	for _, c := range []struct {
		name, want string
		hidden     rune
	}{
		{"A\u202eda\u2069", "Ada", 0x202e},
		{"Ada\u200e", "Ada", 0x200e},
		{"\u200fAda", "Ada", 0x200f},
		{"\u061cAda", "Ada", 0x61c},
		{"A\u200bda", "Ada", 0x200b},
		{"A\u200dda", "Ada", 0x200d},
		{"А\u200cда", "Ада", 0x200c}, // Cyrillic
		{"Ada\ufe0f", "Ada", 0xfe0f},
		{"👩\u200d\u200d💻", "👩\u200d💻", 0x200d},
		{"A\u2060d\ufeffa", "Ada", 0x2060},
		{"A\u00adda", "Ada", 0xad},
		{"A\u034fda", "Ada", 0x34f},
		{"Ada\u3164", "Ada", 0x3164}, // Hangul filler
		{"\u2800", "", 0x2800},
		{"Ada\U000e0041", "Ada", 0xe0041},
		{"A\nda\x1b\u0085", "Ada", '\n'},
		{"Ada\u2028", "Ada", 0x2028},
		{"\ufff9Ada\u206a", "Ada", 0xfff9},
	} {
		if seen, hidden := liked.Seen(c.name); seen != c.want || hidden != c.hidden {
			t.Errorf("%+q: got %+q without %U, want %+q without %U", c.name, seen, hidden, c.want, c.hidden)
		}
	}
}
