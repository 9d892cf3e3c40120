// Package hidden keeps secret texts out of logs, errors and dumps.
package hidden

import "fmt"

// Text is a text that only Reveal returns. It is a closure because fmt prints the unexported fields of a value without
// calling their methods; of a function it prints the address. The zero value is the empty text. Values cannot be compared.
type Text struct{ reveal func() string }

// Hide returns a hidden text.
func Hide(text string) Text { return Text{reveal: func() string { return text }} }

// Reveal returns the text.
func (t Text) Reveal() string {
	if t.reveal == nil {
		return ""
	}
	return t.reveal()
}

// String returns a placeholder.
func (t Text) String() string { return "…" }

// Format prints the placeholder for every verb.
func (t Text) Format(f fmt.State, _ rune) { fmt.Fprint(f, t.String()) }
