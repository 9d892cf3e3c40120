package authsvc

import (
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"
)

func TestCleanEndpoint(t *testing.T) {
	long := strings.Repeat("a", 2048)
	upTo := func(n int, tail string) string { return long[:n] + tail }
	tests := map[string]struct{ path, want string }{
		"empty":                                {"", ""},
		"a plain path":                         {"/v1/agents/a1", "/v1/agents/a1"},
		"a query is cut":                       {"/v1?token=secret", "/v1"},
		"all from the first question mark":     {"/a?b?c=secret", "/a"},
		"a query alone":                        {"?token=secret", ""},
		"an empty query":                       {"/v1?", "/v1"},
		"a query behind 2048 bytes":            {long + "?token=secret", long},
		"an escaped question mark stays":       {"/a%3Fb", "/a%3Fb"},
		"letters beyond ASCII stay":            {"/é/世/🙂", "/é/世/🙂"},
		"a real replacement character stays":   {"/\uFFFD", "/\uFFFD"},
		"what filters care about stays":        {`/%_\'"`, `/%_\'"`},
		"NUL":                                  {"/a\x00b", "/a%00b"},
		"newlines and tabs":                    {"/a\r\n\tb", "/a%0D%0A%09b"},
		"escape and delete":                    {"/\x1b[31m\x7f", "/%1B[31m%7F"},
		"a C1 control":                         {"/a\u009b31m", "/a%C2%9B31m"},
		"what turns the reading direction":     {"/a\u202eb", "/a%E2%80%AEb"},
		"what cannot be seen":                  {"/a\u200bb\U000e0041", "/a%E2%80%8Bb%F3%A0%81%81"},
		"2048 bytes":                           {long, long},
		"2049 bytes":                           {long + "b", long},
		"a character that ends at 2048":        {upTo(2044, "🙂x"), upTo(2044, "🙂")},
		"a character over the cut":             {upTo(2045, "🙂x"), upTo(2045, "")},
		"a last character over the cut":        {upTo(2047, "é"), upTo(2047, "")},
		"an encoded byte that ends at 2048":    {upTo(2045, "\x00x"), upTo(2045, "%00")},
		"an encoded byte over the cut":         {upTo(2046, "\x00x"), upTo(2046, "")},
		"an encoded character that ends there": {upTo(2039, "\u202ex"), upTo(2039, "%E2%80%AE")},
		"an encoded character over the cut":    {upTo(2040, "\u202ex"), upTo(2040, "")},
		"an encoded byte at the cut":           {upTo(2047, "\x00"), upTo(2047, "")},
		"2048 bytes that grow by encoding":     {strings.Repeat("\x00", 2048), strings.Repeat("%00", 682)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := CleanEndpoint(tt.path); got != tt.want {
				t.Errorf("CleanEndpoint(%.40q, %d bytes) = %.40q, %d bytes; want %.40q, %d bytes",
					tt.path, len(tt.path), got, len(got), tt.want, len(tt.want))
			}
		})
	}
}

func TestCleanEndpointLetsGoOfTheQuery(t *testing.T) {
	path := "/v1/agents?" + strings.Repeat("q", 1000)
	if clean := CleanEndpoint(path); unsafe.StringData(clean) == unsafe.StringData(path) {
		t.Error("what is kept is a part of the whole path, which it keeps in memory")
	}
}

func TestCleanMethodAndAgentID(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "GET": "GET", "G\x00T": "G%00T", strings.Repeat("M", 33): strings.Repeat("M", 32),
		strings.Repeat("M", 30) + "\x00": strings.Repeat("M", 30), strings.Repeat("é", 17): strings.Repeat("é", 16),
	} {
		if got := sanitizeMethod(text); got != want {
			t.Errorf("sanitizeMethod(%q) = %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"": "", "a?b": "a?b", "a\x1b\u202e": "a%1B%E2%80%AE", strings.Repeat("🙂", 255): strings.Repeat("🙂", 255),
		strings.Repeat("🙂", 256): strings.Repeat("🙂", 255), strings.Repeat("🙂", 253) + "\n": strings.Repeat("🙂", 253),
	} {
		if got := sanitizeAgentID(text); got != want {
			t.Errorf("sanitizeAgentID(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzCleanEndpoint(f *testing.F) {
	f.Add("/v1/agents?key=sk_secret")
	f.Add("/\x00\u009b?\x7f")
	f.Add(strings.Repeat("🙂", 600))
	f.Add(strings.Repeat("\u202e", 600))
	f.Add(strings.Repeat("a", 2046) + "\x00\x00")
	f.Fuzz(func(t *testing.T, path string) {
		path = strings.ToValidUTF8(path, "")
		clean := CleanEndpoint(path)
		if len(clean) > maxEndpoint || !utf8.ValidString(clean) || strings.ContainsAny(clean, "?\x00\n\x7f\u0085\u202e") {
			t.Fatalf("CleanEndpoint(%q) = %q is not clean", path, clean)
		}
		if again := CleanEndpoint(clean); again != clean {
			t.Fatalf("CleanEndpoint(%q) = %q, and that again becomes %q", path, clean, again)
		}
		kept, _, _ := strings.Cut(path, "?")
		if !strings.ContainsFunc(kept, unprintable) && !strings.HasPrefix(kept, clean) {
			t.Fatalf("CleanEndpoint(%q) = %q changes a path that needs no encoding", path, clean)
		}
		if len(kept) >= maxEndpoint && len(clean) < maxEndpoint-11 {
			t.Fatalf("CleanEndpoint of %d bytes keeps %d only", len(kept), len(clean))
		}
	})
}

func TestSecretsOfKeysAreHidden(t *testing.T) {
	secret := NewSecret().Reveal()
	typo := secret[:40] + map[bool]string{true: "y", false: "x"}[secret[40] == 'x']
	for path, want := range map[string]string{
		"/v1/" + secret:                              "/v1/sk_…",
		"/" + secret + "/" + secret + "/x":           "/sk_…/sk_…/x",
		secret + secret:                              "sk_…sk_…",
		"sk_" + secret + "0":                         "sk_sk_…0",
		"/task_/a%3D" + secret:                       "/task_/a%3Dsk_…",
		"/" + secret[:40]:                            "/" + secret[:40],
		"/" + typo:                                   "/" + typo,
		strings.Repeat("a", 2040) + secret:           strings.Repeat("a", 2040) + "sk_…",
		strings.Repeat(secret, 100_000):              strings.Repeat("sk_…", 341) + "sk",
		"/v1?" + secret:                              "/v1",
		"/task_0123456789abcdefghijklmnopqrstuvwxyz": "/task_0123456789abcdefghijklmnopqrstuvwxyz",
	} {
		if got := CleanEndpoint(path); got != want {
			t.Errorf("%.60q is kept as %.60q, want %.60q", path, got, want)
		}
	}
}
