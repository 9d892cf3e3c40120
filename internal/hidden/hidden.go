// Package hidden keeps texts that nobody may see out of logs, errors and dumps, whatever holds them.
package hidden

import "fmt"

// Text is a text that shows itself to Reveal alone. It is a closure because nothing else is safe from reflection: fmt
// calls no method of an unexported field, nor of anything under %p, and prints what is there, which of a function is
// an address. The zero value is the empty text. Values cannot be compared.
type Text struct{ reveal func() string }

// Hide makes a text.
func Hide(text string) Text { return Text{reveal: func() string { return text }} }

// Reveal gives the text.
func (t Text) Reveal() string {
	if t.reveal == nil {
		return ""
	}
	return t.reveal()
}

// String shows that there is something, and nothing of it.
func (t Text) String() string { return "…" }

// Format does so under every verb.
func (t Text) Format(f fmt.State, _ rune) { fmt.Fprint(f, t.String()) }
