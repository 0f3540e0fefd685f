package scan

import "fmt"

// The limits of one file. All are far above what people write.
const (
	// MaxDepth is how deep brackets, blocks, operators and templates may be nested.
	MaxDepth = 500
	// maxTokens is how many words, numbers, signs and line ends a file may have, and
	// maxPieceTokens one top-level block: the parser takes about a kilobyte for each.
	maxTokens      = 1 << 20
	maxPieceTokens = 1 << 18
	// maxLiteral bounds what the parser copies to put texts together, in bytes: for
	// each line of a text, all lines before it.
	maxLiteral = 1 << 30
	// maxNumber is how long a number may be, in characters, and maxExponent how many
	// digits stand behind its e.
	maxNumber   = 1000
	maxExponent = 3
	// maxWord is how long a name may be, in bytes.
	maxWord = 4096
)

// Limit is what a text can have too much of.
type Limit struct {
	// Summary and Detail are for a diagnostic.
	Summary, Detail string
	// fact completes "line 7 …".
	fact string
}

var (
	// Depth is of brackets, blocks, operators and templates.
	Depth = &Limit{
		Summary: "Nested too deeply",
		Detail:  fmt.Sprintf("Brackets, blocks, operators and templates can be nested %d levels deep; here they go deeper. Take parts out into locals or modules.", MaxDepth),
		fact:    fmt.Sprintf("is nested deeper than %d levels", MaxDepth),
	}
	// Size is of a whole file.
	Size = &Limit{
		Summary: "File too large",
		Detail:  fmt.Sprintf("A file can have %d words, numbers and signs, and this one has more. Divide it into several files or modules, or make similar stages with for_each.", maxTokens),
		fact:    fmt.Sprintf("is past the limit of %d words, numbers and signs", maxTokens),
	}
	// Block is of one top-level block.
	Block = &Limit{
		Summary: "Block too large",
		Detail:  fmt.Sprintf("A block can have %d words, numbers and signs, and the one that this line belongs to has more. Keep large tables in a file of their own, and read it with jsondecode(file(…)).", maxPieceTokens),
		fact:    fmt.Sprintf("is past the limit of %d words, numbers and signs in one block", maxPieceTokens),
	}
	// Text is of strings and heredocs.
	Text = &Limit{
		Summary: "Text too long",
		Detail:  "The texts in this file have too many lines, up to here. Keep long texts in files of their own, and read them with file(…) or templatefile(…).",
		fact:    "is part of a text with too many lines",
	}
	// Number is of digits.
	Number = &Limit{
		Summary: "Number too large",
		Detail:  fmt.Sprintf("A number can have %d digits, and %d in its exponent. If this is meant as a text, put it into quotes.", maxNumber, maxExponent),
		fact:    "has a number with too many digits",
	}
	// Word is of letters in a name.
	Word = &Limit{
		Summary: "Name too long",
		Detail:  fmt.Sprintf("A name can have %d bytes. If this is meant as a text, put it into quotes.", maxWord),
		fact:    "has a name that is too long",
	}
	// Control is of characters that are no text.
	Control = &Limit{
		Summary: "Invalid character",
		Detail:  "Here stands a control character, which has no meaning. The file may be damaged, or not be text at all: look at it in an editor that shows such characters, or take it back from version control.",
		fact:    "holds a control character",
	}
)

// LimitError says where text goes beyond a limit.
type LimitError struct {
	*Limit
	// Line counts from 1, Byte from 0.
	Line, Byte int
}

func (e *LimitError) Error() string { return fmt.Sprintf("line %d %s", e.Line, e.fact) }

// usage is what a text has used of its limits.
type usage struct{ tokens, piece, copied int }

// token counts one; the limit is nil while there is room.
func (u *usage) token() *Limit {
	u.tokens++
	u.piece++
	switch {
	case u.piece > maxPieceTokens:
		return Block
	case u.tokens > maxTokens:
		return Size
	}
	return nil
}

// literal counts a part of a text behind length bytes of the same text.
func (u *usage) literal(length int) *Limit {
	if u.copied += length; u.copied > maxLiteral {
		return Text
	}
	return u.token()
}

func isWord(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// number is the length of the number at the beginning, and whether it is within the limits.
func number(src []byte) (n int, ok bool) {
	digits := func() int {
		start := n
		for n < len(src) && (src[n] >= '0' && src[n] <= '9' || src[n] == '.') {
			n++
		}
		return n - start
	}
	whole, exponent := digits(), 0
	if n+1 < len(src) && (src[n] == 'e' || src[n] == 'E') {
		n++
		if src[n] == '+' || src[n] == '-' {
			n++
		}
		exponent = digits()
	}
	return n, whole <= maxNumber && exponent <= maxExponent
}
