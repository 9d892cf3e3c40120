package authsvc

import (
	"strings"
	"testing"
)

// knownSecrets were made by another implementation: zlib's CRC-32 and Python's integers.
var knownSecrets = []string{
	"sk_2wjyrI00000000000000000000000000000000",
	"sk_1mVgZWabcdefghijklmnopqrstuvwxyzABCDEF",
	"sk_00VUzyWNapJRWhMmXK07SjSMJYPLokhaV7fwOO", // a sum with leading zeros
}

func TestParseSecretTakesSecretsMadeElsewhere(t *testing.T) {
	for _, text := range knownSecrets {
		secret, ok := ParseSecret(text)
		if !ok || secret.Reveal() != text {
			t.Errorf("ParseSecret(%q) = %q, %v; want the text", text, secret.Reveal(), ok)
		}
	}
}

func TestNewSecretIsWellFormedAndNew(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		secret := NewSecret()
		text := secret.Reveal()
		if len(text) != 41 || !strings.HasPrefix(text, "sk_") {
			t.Fatalf("secret %q: want sk_ and 38 characters", text)
		}
		if parsed, ok := ParseSecret(text); !ok || parsed.Reveal() != text {
			t.Fatalf("the new secret %q does not parse", text)
		}
		if secret.Last4() != text[37:] {
			t.Errorf("last4 of %q is %q", text, secret.Last4())
		}
		seen[text] = true
	}
	if len(seen) != 1000 {
		t.Errorf("1000 new secrets, %d of them different", len(seen))
	}
}

func TestNewSecretFavoursNoCharacter(t *testing.T) {
	used := map[rune]int{}
	for range 10000 {
		for _, c := range NewSecret().Reveal()[9:] {
			used[c]++
		}
	}
	for _, c := range base62 {
		// 5161 are expected, give or take 71. Those that a plain modulo favours would come 6250 times.
		if used[c] < 4750 || used[c] > 5570 {
			t.Errorf("%q came %d times in 320000 characters", c, used[c])
		}
	}
	if len(used) != 62 {
		t.Errorf("%d characters used, want 62", len(used))
	}
}

func TestDigestIsTheSHA256OfTheWholeText(t *testing.T) {
	secret, _ := ParseSecret(knownSecrets[1])
	if got := hexDigest(secret.Digest()); got != "54ff6e778f5d587d56a07f751202b5e759c7062483bec316a7cd62a0d80e24a2" {
		t.Errorf("digest %s is not what sha256sum answers", got)
	}
	other := secret.Digest()
	other[31] ^= 1
	if !secret.Digest().Equal(secret.Digest()) || secret.Digest().Equal(other) {
		t.Error("Equal does not compare every bit")
	}
}

func TestParseSecretRefusesWhatIsNotExactlyASecret(t *testing.T) {
	good := knownSecrets[1]
	replace := func(at int, c string) string { return good[:at] + c + good[at+1:] }
	tests := map[string]string{
		"empty":                           "",
		"prefix alone":                    "sk_",
		"space before":                    " " + good,
		"space after":                     good + " ",
		"newline after":                   good + "\n",
		"space within, length kept":       replace(20, " "),
		"space for the prefix's s":        " " + good[1:],
		"one short":                       good[:40],
		"one long":                        good + "0",
		"one short with its own sum":      secretPrefix + checksum(good[9:40]) + good[9:40],
		"one long with its own sum":       secretPrefix + checksum(good[9:]+"0") + good[9:] + "0",
		"strange ones with their own sum": secretPrefix + checksum(strings.Repeat("-", 32)) + strings.Repeat("-", 32),
		"no random part":                  secretPrefix + checksum(""),
		"upper-case prefix":               "SK_" + good[3:],
		"dash for underscore":             "sk-" + good[3:],
		"no prefix, length kept":          good[3:] + "abc",
		"Bearer before":                   "Bearer " + good,
		"quoted":                          `"` + good + `"`,
		"dash in the random part":         replace(20, "-"),
		"underscore in the random part":   replace(20, "_"),
		"NUL in the random part":          replace(20, "\x00"),
		"high byte in the random part":    replace(20, "\xff"),
		"wrong alphabet in the sum":       replace(5, "-"),
		"typing mistake, random part":     replace(20, swapped(good[20])),
		"typing mistake, sum":             replace(5, swapped(good[5])),
		"two characters swapped":          good[:20] + good[21:22] + good[20:21] + good[22:],
		"case changed":                    strings.ToLower(good),
		"non-ASCII digits":                replace(20, "٣")[:41],
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if text == good {
				t.Fatal("the test changes nothing")
			}
			if secret, ok := ParseSecret(text); ok {
				t.Errorf("ParseSecret(%q) accepts %q", text, secret.Reveal())
			}
		})
	}
}

// swapped is another character of the alphabet.
func swapped(c byte) string {
	if c == 'x' {
		return "y"
	}
	return "x"
}

func FuzzParseSecret(f *testing.F) {
	for _, text := range knownSecrets {
		f.Add(text)
		f.Add(text + " ")
		f.Add(text[:len(text)-1] + "é")
	}
	f.Add("")
	f.Add("sk_")
	f.Add(strings.Repeat("\xff", secretLength))
	f.Fuzz(func(t *testing.T, text string) {
		if secret, ok := ParseSecret(text); ok {
			again := secretPrefix + checksum(text[9:]) + text[9:]
			if secret.Reveal() != text || again != text {
				t.Fatalf("accepts %q as %q; its random part makes %q", text, secret.Reveal(), again)
			}
		} else if strings.Contains(secret.String(), text) && len(text) > 8 {
			t.Fatalf("shows the refused text %q", text)
		}
		// Whatever the input holds, the secret made of its random part is one.
		random := alphabetOnly(text)
		made := secretPrefix + checksum(random) + random
		if secret, ok := ParseSecret(made); !ok || secret.Reveal() != made {
			t.Fatalf("refuses %q, made of %q", made, text)
		}
	})
}

// alphabetOnly turns any text into 32 characters of the alphabet.
func alphabetOnly(text string) string {
	random := make([]byte, randomLength)
	for i := range random {
		random[i] = base62[0]
		if i < len(text) {
			random[i] = base62[text[i]%62]
		}
	}
	return string(random)
}
