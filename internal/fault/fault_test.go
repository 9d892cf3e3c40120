package fault

import (
	"errors"
	"fmt"
	"regexp"
	"testing"
)

func TestReasonsAreUniqueNames(t *testing.T) {
	seen := map[string]bool{}
	for _, reason := range Reasons() {
		name := reason.String()
		if seen[name] || !regexp.MustCompile(`^[A-Z]+(_[A-Z]+)*$`).MatchString(name) {
			t.Errorf("the reason %q is not in UPPER_SNAKE_CASE, or there are two of it", name)
		}
		seen[name] = true
	}
	if len(seen) < 30 {
		t.Errorf("%d reasons", len(seen))
	}
}

func TestKindOfAWrappedFault(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want Kind
		text string
	}{
		{New(KeyNotFound, "key %q", "a"), NotFound, `key "a"`},
		{fmt.Errorf("read: %w", New(ETagMismatch, "changed")), Aborted, "read: changed"},
		{InvalidField("name", "is %d", 1), Invalid, "name: is 1"},
		{&Error{}, Internal, ""},
		{errors.New("other"), Internal, "other"},
		{nil, Internal, ""},
	} {
		if got := KindOf(tt.err); got != tt.want || tt.err != nil && tt.err.Error() != tt.text {
			t.Errorf("%v has the kind %v, want %v with the text %q", tt.err, got, tt.want, tt.text)
		}
	}
}
