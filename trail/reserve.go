package trail

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
)

const (
	// reserveFile holds room on the disk for dead letters, and nothing that means anything.
	reserveFile = "reserve"
	// largestReserve bounds the reserve, in bytes.
	largestReserve = 4 << 20
	// diskPage is what a disk gives and takes at least, in bytes.
	diskPage = 4 << 10
)

// reserve is a file that takes room on the disk to give it away when dead letters find none. A trail that has filled its
// disk could else never get rid of a row that is refused for good, nor of any that stands behind it. It is not safe
// for concurrent use.
type reserve struct {
	path string
	// want is how large it should be, size how large it is.
	want, size int64
}

// fill makes the reserve as large as it should be, or as the disk allows.
func (r *reserve) fill() error {
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < r.want {
		// Random bytes, because a disk may store others as good as nowhere.
		_, err = io.CopyN(f, rand.NewChaCha8([32]byte{}), r.want-info.Size())
		err = errors.Join(err, f.Sync())
	}
	if now, e := f.Stat(); e == nil {
		r.size = now.Size()
	}
	return errors.Join(err, f.Close())
}

// give frees room for so many bytes at the least, and not much more, as others take what is left over. It answers
// false where there is nothing to give.
func (r *reserve) give(bytes int) bool {
	if r.size == 0 {
		return false
	}
	left := max(0, r.size-int64(bytes)-2*diskPage) / diskPage * diskPage
	if err := os.Truncate(r.path, left); err != nil {
		return false
	}
	r.size = left
	return true
}
