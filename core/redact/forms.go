package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// minLeaf is the least length of a text inside a structured secret that is a
// secret by itself: user names and the like are shorter.
const minLeaf = 8

// minCore is the least length of the part of a base64 text that is looked for when the
// secret stands inside something longer.
const minCore = 8

// formsOf yields what a secret looks like on its way through other programs; some
// more than once. None is shorter than MinLength.
func formsOf(secret string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, part := range parts(secret) {
			for _, write := range []func(string) []string{plain, escaped, encoded} {
				for _, form := range write(part) {
					if len(form) >= MinLength && !yield(form) {
						return
					}
				}
			}
		}
	}
}

// parts are the secret itself, without surrounding space, each of its lines, and
// what is inside a JSON text or a URL.
func parts(secret string) []string {
	out := append(leaves(secret), secret, strings.TrimSpace(secret))
	if u, err := url.Parse(secret); err == nil && u.User != nil {
		if password, ok := u.User.Password(); ok {
			out = append(out, password)
		}
	}
	if !strings.ContainsAny(secret, "\r\n") {
		return out
	}
	out = append(out, strings.ReplaceAll(secret, "\r\n", "\n"), strings.ReplaceAll(secret, "\n", "\r\n"))
	for _, line := range strings.FieldsFunc(secret, func(r rune) bool { return r == '\n' || r == '\r' }) {
		out = append(out, line, strings.TrimSpace(line))
	}
	return out
}

// leaves are the longer texts in a secret that is a JSON object or array.
func leaves(secret string) []string {
	if s := strings.TrimSpace(secret); s == "" || s[0] != '{' && s[0] != '[' {
		return nil
	}
	var tree any
	if json.Unmarshal([]byte(secret), &tree) != nil {
		return nil
	}
	var out []string
	var walk func(any)
	walk = func(tree any) {
		switch t := tree.(type) {
		case string:
			if len(t) >= minLeaf {
				out = append(out, parts(t)...)
			}
		case []any:
			for _, v := range t {
				walk(v)
			}
		case map[string]any:
			for _, v := range t {
				walk(v)
			}
		}
	}
	walk(tree)
	return out
}

func plain(s string) []string { return []string{s} }

func escaped(s string) []string {
	query, path := url.QueryEscape(s), url.PathEscape(s)
	out := []string{
		query, path, strings.ReplaceAll(query, "+", "%20"), lowerEscapes(query), lowerEscapes(path),
		inside(strconv.Quote(s)), inside(strconv.QuoteToASCII(s)),
		html.EscapeString(s), xmlEscapes.Replace(s),
		strings.ReplaceAll(s, "'", `'\''`), doubleQuoted.Replace(s), backslashed(s),
	}
	if utf8.ValidString(s) {
		j := jsonString(s, false)
		// The last is JSON inside a text of JSON.
		out = append(out, j, jsonString(s, true), asciiJSON(j), strings.ReplaceAll(j, "/", `\/`), jsonString(j, false))
	}
	return out
}

var (
	// xmlEscapes are those of writers that are not Go's.
	xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;")
	// doubleQuoted is a text between double quotes of a shell.
	doubleQuoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`")
)

// backslashed is a word of a shell without quotes.
func backslashed(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= utf8.RuneSelf
		if !plain && !strings.ContainsRune("@%_+=:,./-\n", rune(c)) {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// inside is a quoted text without its quotes.
func inside(quoted string) string { return quoted[1 : len(quoted)-1] }

func jsonString(s string, escapeHTML bool) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(escapeHTML)
	_ = enc.Encode(s) // a string cannot fail
	return inside(strings.TrimSuffix(b.String(), "\n"))
}

// asciiJSON escapes what is not ASCII, as many languages' writers do.
func asciiJSON(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case r < 0x10000:
			b.WriteString(`\u` + hex4(r))
		default:
			r -= 0x10000
			b.WriteString(`\u` + hex4(0xd800+r>>10) + `\u` + hex4(0xdc00+r&0x3ff))
		}
	}
	return b.String()
}

func hex4(r rune) string {
	h := strconv.FormatInt(int64(r), 16)
	return strings.Repeat("0", 4-len(h)) + h
}

// lowerEscapes writes %2F as %2f.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

func encoded(s string) []string {
	b := []byte(s)
	out := []string{
		hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)),
		base64.StdEncoding.EncodeToString(b), base64.RawStdEncoding.EncodeToString(b),
	}
	for _, width := range []int{64, 76} { // of PEM, and of the base64 command
		for rest := out[2]; len(rest) > width; {
			out = append(out, rest[:width])
			if rest = rest[width:]; len(rest) <= width && len(rest) >= minCore {
				out = append(out, rest)
			}
		}
	}
	// Where the secret begins at another place of a longer text, all of its base64
	// but the ends stays the same.
	for shift := range 3 {
		text := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), b...))
		from, to := (shift*8+5)/6, (shift+len(b))*8/6
		if to-from >= minCore {
			out = append(out, text[from:to])
		}
	}
	url := strings.NewReplacer("+", "-", "/", "_")
	for _, text := range out[2:] {
		out = append(out, url.Replace(text))
	}
	// Bytes as Go prints them.
	return append(out, strings.Trim(fmt.Sprint(b), "[]"), strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", b), "[]byte{"), "}"))
}
