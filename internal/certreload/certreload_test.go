package certreload

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/keytrail/keytrail/internal/testing/tlstest"
)

// subject returns the subject of the current certificate.
func subject(t *testing.T, c *Certificate) string {
	t.Helper()
	return leaf(t, c).Subject.CommonName
}

// leaf parses the current certificate.
func leaf(t *testing.T, c *Certificate) *x509.Certificate {
	t.Helper()
	parsed, err := x509.ParseCertificate(c.files.current().Certificate[0])
	must(t, err)
	return parsed
}

func TestFilesAreReadAgainWhenTheyHaveChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, log := tlstest.NewAuthority(t), &bytes.Buffer{}
		cert, key := authority.Issue(t, "first").Write(t)
		c, err := OpenCertificate(cert, key, slog.New(slog.NewTextHandler(log, nil)))
		must(t, err)
		authority.Issue(t, "second").WriteTo(t, cert, key)
		if name := subject(t, c); name != "first" {
			t.Errorf("within the second in which the files were read, the subject is %q", name)
		}
		<-time.After(checkInterval)
		if name := subject(t, c); name != "second" {
			t.Errorf("after the replacement, the subject is %q", name)
		}
		if !c.NotAfter().Equal(leaf(t, c).NotAfter) {
			t.Errorf("NotAfter returned %v", c.NotAfter())
		}
		if !strings.Contains(log.String(), "level=INFO") || strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("logged %s", log)
		}
	})
}

func TestReplacementWithSameSizeAndTimeIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		file, other := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		for _, path := range []string{file, other} {
			must(t, os.WriteFile(path, []byte(filepath.Base(path)), 0o600))
			must(t, os.Chtimes(path, time.Now(), time.Now()))
		}
		w, err := open(slog.New(slog.DiscardHandler), func(texts [][]byte) (string, error) { return string(texts[0]), nil }, file)
		must(t, err)
		must(t, os.Rename(other, file))
		<-time.After(checkInterval)
		if got := w.current(); got != "b" {
			t.Errorf("read %q", got)
		}
	})
}

func TestInvalidFilesLeaveThePreviousOnesInUse(t *testing.T) {
	authority := tlstest.NewAuthority(t)
	for name, breakIt := range map[string]func(cert, key string){
		"half a replacement": func(cert, _ string) { tlstest.Replace(t, cert, authority.Issue(t, "second").Cert) },
		"no certificate":     func(cert, _ string) { tlstest.Replace(t, cert, []byte("junk")) },
		"an empty key":       func(_, key string) { must(t, os.Truncate(key, 0)) },
		"a key that is gone": func(_, key string) { must(t, os.Remove(key)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &bytes.Buffer{}
				first := authority.Issue(t, "first")
				cert, key := first.Write(t)
				c, err := OpenCertificate(cert, key, slog.New(slog.NewTextHandler(log, nil)))
				must(t, err)
				breakIt(cert, key)
				for range 5 {
					<-time.After(checkInterval)
					if name := subject(t, c); name != "first" {
						t.Errorf("the subject is %q", name)
					}
				}
				if logged := strings.Count(log.String(), "level=ERROR"); logged != 1 || !strings.Contains(log.String(), cert) {
					t.Errorf("logged %d errors, want one: %s", logged, log)
				}
				if strings.Contains(log.String(), string(first.Key)) {
					t.Errorf("the key is in the log: %s", log)
				}
				authority.Issue(t, "third").WriteTo(t, cert, key)
				<-time.After(checkInterval)
				if name := subject(t, c); name != "third" {
					t.Errorf("after the files were repaired, the subject is %q", name)
				}
			})
		})
	}
}

func TestFilesThatCannotBeReadAreNamed(t *testing.T) {
	pair, log := tlstest.NewAuthority(t).Issue(t, "first"), slog.New(slog.DiscardHandler)
	cert, key := pair.Write(t)
	_, otherKey := tlstest.NewAuthority(t).Issue(t, "other").Write(t)
	dir := t.TempDir()
	for _, files := range [][2]string{{cert, dir}, {dir, key}, {cert, filepath.Join(dir, "none")}, {cert, otherKey}, {key, key}} {
		_, err := OpenCertificate(files[0], files[1], log)
		if err == nil || !strings.Contains(err.Error(), files[1]) && !strings.Contains(err.Error(), files[0]) {
			t.Errorf("%q: %v", files, err)
		}
	}
	for _, file := range []string{dir, key, filepath.Join(dir, "none")} {
		if _, err := OpenAuthorities(file, log); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("the authorities of %s: %v", file, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
