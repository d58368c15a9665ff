package journal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"liked/internal/exchange"
)

// cutter writes texts of one exchange without its secrets, and remembers these, to find them where no name tells.
type cutter struct{ seen []string }

// minSeen is the shortest secret that is looked for elsewhere, in bytes: a shorter one may be a common word.
const minSeen = 6

// cut returns the beginning of a secret.
func (c *cutter) cut(secret string) string {
	if len(secret) <= 4 && strings.Trim(secret, "0123456789") == "" { // X's codes of errors are members "code"
		return secret
	}
	if len(secret) >= minSeen {
		c.seen = append(c.seen, secret)
	}
	return exchange.Cut(secret)
}

// publicValues are those of OAuth 1.0a that say how a request was signed.
var publicValues = map[string]func(string) bool{
	"oauth_signature_method": func(v string) bool {
		return v == "HMAC-SHA1" || v == "HMAC-SHA256" || v == "PLAINTEXT" || v == "RSA-SHA1"
	},
	"oauth_version":            func(v string) bool { return len(v) <= 4 },
	"oauth_timestamp":          func(v string) bool { return len(v) <= 12 && strings.Trim(v, "0123456789") == "" },
	"oauth_callback_confirmed": func(v string) bool { return v == "true" || v == "false" },
}

// named returns the value of a parameter or a header as it may be shown.
func (c *cutter) named(name, value string) string {
	name = strings.ReplaceAll(name, "-", "_")
	if public := publicValues[name]; public != nil && public(value) {
		return value
	}
	if exchange.IsSecret(name) {
		return c.cut(value)
	}
	return c.url(value)
}

// url cuts what a URL, or another text, has behind a question mark or a hash, and a password.
func (c *cutter) url(text string) string {
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		host := rest[:strings.IndexAny(rest+"/", "/?#")]
		if i := strings.LastIndexByte(host, '@'); i >= 0 {
			_, password, _ := strings.Cut(host[:i], ":")
			text = scheme + "://" + c.cut(password) + rest[i:]
		}
	}
	i := strings.IndexAny(text, "?#")
	if i < 0 || !strings.Contains(text[i:], "=") {
		return text
	}
	query, fragment, ok := strings.Cut(text[i+1:], "#")
	text = text[:i+1] + c.form(query)
	if ok {
		text += "#" + c.form(fragment)
	}
	return text
}

// form cuts the secrets of a query or a form.
func (c *cutter) form(text string) string {
	fields := strings.Split(text, "&")
	for i, field := range fields {
		name, value, ok := strings.Cut(field, "=")
		if !ok {
			continue
		}
		plain, err := url.QueryUnescape(name)
		if err != nil {
			plain = name
		}
		decoded, err := url.QueryUnescape(value)
		if err != nil {
			decoded = value
		}
		if shown := c.named(plain, decoded); shown != decoded {
			fields[i] = name + "=" + strings.ReplaceAll(url.QueryEscape(shown), url.QueryEscape("…"), "…")
			if value != decoded && len(value) >= minSeen {
				c.seen = append(c.seen, value)
			}
		}
	}
	return strings.Join(fields, "&")
}

// authorization cuts the value of an Authorization header.
func (c *cutter) authorization(value string) string {
	scheme, rest, ok := strings.Cut(value, " ")
	switch {
	case !ok:
		return c.cut(value)
	case strings.EqualFold(scheme, "Bearer"):
		return scheme + " " + c.cut(strings.TrimSpace(rest))
	case strings.EqualFold(scheme, "Basic"):
		if plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest)); err == nil {
			_, secret, _ := strings.Cut(string(plain), ":")
			c.cut(secret) // which an answer could repeat
			if decoded, err := url.QueryUnescape(secret); err == nil {
				c.cut(decoded)
			}
		}
		return scheme + " " + c.cut(strings.TrimSpace(rest))
	case !strings.EqualFold(scheme, "OAuth"):
		return c.cut(value)
	}
	parts := strings.Split(rest, ",")
	for i, part := range parts {
		name, quoted, ok := strings.Cut(part, "=")
		if !ok {
			parts[i] = c.cut(part)
			continue
		}
		quoted = strings.TrimSpace(quoted)
		value := strings.Trim(quoted, `"`)
		decoded, err := url.PathUnescape(value)
		if err != nil {
			decoded = value
		}
		if strings.TrimSpace(name) == "realm" {
			continue
		}
		shown := c.named(strings.TrimSpace(name), decoded)
		if value != decoded && len(value) >= minSeen {
			c.seen = append(c.seen, value)
		}
		parts[i] = name + `="` + shown + `"`
	}
	return scheme + " " + strings.Join(parts, ",")
}

// field returns the value of a header's field.
func (c *cutter) field(name, value string) string {
	switch name {
	case "Authorization", "Proxy-Authorization":
		return c.authorization(value)
	case "Cookie":
		return c.cookies(value, false)
	case "Set-Cookie":
		return c.cookies(value, true)
	case "X-Twitter-Webhooks-Signature": // it proves one body
		return value
	}
	return c.named(name, value)
}

// cookies cuts the values of a Cookie header, or the one of a Set-Cookie header.
func (c *cutter) cookies(value string, one bool) string {
	parts := strings.Split(value, ";")
	for i, part := range parts {
		if name, value, ok := strings.Cut(part, "="); ok && (i == 0 || !one) {
			parts[i] = name + "=" + c.cut(value)
		} else if i == 0 || !one {
			parts[i] = c.cut(part)
		}
	}
	return strings.Join(parts, ";")
}

// json cuts the values of secret members. The text may be cut off, or no JSON at all: names may lack quotes.
func (c *cutter) json(out []byte, text string) []byte {
	secret, depth := false, 0 // the next value is one; so many arrays and objects deep in one
	for i := 0; i < len(text); {
		start, quoted := i, text[i] == '"' || text[i] == '\''
		switch b := text[i]; {
		case quoted:
			for i++; i < len(text) && text[i] != b; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			i = min(i+1, len(text))
		case bare(b):
			for i < len(text) && bare(text[i]) {
				i++
			}
		default:
			switch {
			case (b == '{' || b == '[') && (secret || depth > 0):
				secret, depth = false, depth+1
			case (b == '}' || b == ']') && depth > 0:
				depth--
			case b == ',':
				secret = false
			}
			out = append(out, b)
			i++
			continue
		}
		token := text[start:i]
		inner := token
		if quoted {
			inner = strings.TrimPrefix(token, token[:1])
			if len(token) > 1 && strings.HasSuffix(token, token[:1]) {
				inner = inner[:len(inner)-1]
			}
		}
		rest := strings.TrimLeft(text[i:], " \t\r\n")
		if rest != "" && (rest[0] == ':' || rest[0] == '=') && !secret {
			out = append(out, token...)
			secret = exchange.IsSecret(unescaped(inner))
			continue
		}
		shown := inner
		switch {
		case !quoted && (inner == "null" || inner == "true" || inner == "false"):
		case secret || depth > 0:
			shown = c.cut(inner)
			if plain := unescaped(inner); plain != inner {
				c.cut(plain)
			}
		case strings.ContainsAny(inner, "?@") && strings.Contains(inner, "://"):
			shown = c.url(inner)
		}
		secret = false
		if shown == inner {
			out = append(out, token...)
			continue
		}
		if quoted {
			shown = token[:1] + shown + token[:1]
		} else {
			shown = `"` + shown + `"`
		}
		out = append(out, shown...)
	}
	return out
}

// bare reports whether b may be of a word without quotes.
func bare(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b >= 0x80 || strings.IndexByte("_-.+/%~!@$*&?", b) >= 0
}

// unescaped is the text of a JSON string.
func unescaped(inner string) string {
	if strings.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var plain string
	if json.Unmarshal([]byte(`"`+inner+`"`), &plain) != nil {
		return inner
	}
	return plain
}

// again cuts what was seen to be a secret wherever else it stands.
func (c *cutter) again(text []byte) []byte {
	for _, s := range c.seen {
		if bytes.Contains(text, []byte(s)) {
			text = bytes.ReplaceAll(text, []byte(s), []byte(exchange.Cut(s)))
		}
	}
	return text
}

func (c *cutter) againIn(text string) string {
	for _, s := range c.seen {
		if strings.Contains(text, s) {
			text = strings.ReplaceAll(text, s, exchange.Cut(s))
		}
	}
	return text
}

var formText = regexp.MustCompile(`^[^\s<>{}="'&]+=[^\s<>{}"']*$`)

// body returns a body as it may be kept; why it is not, instead, if that cannot be told.
func (c *cutter) body(contentType string, text []byte) (kept []byte, omitted string) {
	text = text[:whole(text)]
	trimmed := bytes.TrimLeft(text, " \t\r\n")
	form := strings.HasPrefix(contentType, "application/x-www-form-urlencoded")
	switch {
	case len(trimmed) == 0:
		return text, ""
	case !utf8.Valid(text):
		return nil, "it is not text"
	case trimmed[0] == '{' || trimmed[0] == '[':
		return c.json(nil, string(text)), ""
	case form || formText.Match(trimmed):
		return []byte(c.form(string(text))), ""
	}
	return nil, "it is neither JSON nor a form"
}

// whole is the length of text without the beginning of a character at its end.
func whole(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if b := text[len(text)-n]; utf8.RuneStart(b) {
			if !utf8.FullRune(text[len(text)-n:]) {
				return len(text) - n
			}
			break
		}
	}
	return len(text)
}
