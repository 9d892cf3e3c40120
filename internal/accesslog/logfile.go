package accesslog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

const (
	// maxLine is the most bytes of a line. Caddy and Traefik log request headers, of which Go takes 1 MiB.
	maxLine = 2 << 20
	// maxHead is how many bytes at the beginning of a file identify it.
	maxHead = 1024
)

// fileID identifies a file. The number of a deleted file is used again, hence the hash; a copy has the hash alone.
type fileID struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	// HeadBytes is how many bytes at the beginning of the file Head hashes, by SHA-256 in hexadecimal.
	HeadBytes int64  `json:"head_bytes"`
	Head      string `json:"head"`
}

// logFile is an open file.
type logFile struct {
	file *os.File
	info os.FileInfo
	id   fileID
	// offset is what was reported, and next what was read.
	offset, next int64
	// skipping is set in a line that is too long.
	skipping bool
	// atEnd is set if the last reading has found the end.
	atEnd bool
	// rotated is since when it is not the current file.
	rotated time.Time
}

// openLogFile opens a regular file.
func openLogFile(path string) (*logFile, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe would block
	if err != nil {
		return nil, err
	}
	f := &logFile{file: file}
	if f.info, err = file.Stat(); err == nil {
		err = f.identify()
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return f, nil
}

func (f *logFile) identify() error {
	stat, ok := f.info.Sys().(*syscall.Stat_t)
	if !ok || !f.info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", f.file.Name())
	}
	f.id = fileID{Device: uint64(stat.Dev), Inode: stat.Ino}
	return f.extendHead()
}

// extendHead hashes more of a file that had less than maxHead bytes.
func (f *logFile) extendHead() error {
	if f.id.HeadBytes == maxHead {
		return nil
	}
	head, err := readHead(f.file, maxHead)
	if err == nil && int64(len(head)) > f.id.HeadBytes {
		f.id.HeadBytes, f.id.Head = int64(len(head)), hash(head)
	}
	return err
}

// has reports whether the file begins as id says, and has at least size bytes.
func (f *logFile) has(id fileID, size int64) (bool, error) {
	info, err := f.file.Stat()
	if err != nil || info.Size() < max(size, id.HeadBytes) {
		return false, err
	}
	head, err := readHead(f.file, id.HeadBytes)
	return err == nil && (id.HeadBytes == 0 || hash(head) == id.Head), err
}

func readHead(file *os.File, n int64) ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(file, 0, n))
}

func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// read passes the lines after next to take, as long as it returns true and as they fit into buffer. It leaves a line that has no
// end yet. A line that is longer than buffer is skipped, and passed as nil.
func (f *logFile) read(buffer []byte, take func(line []byte, offset int64) bool) error {
	n, err := f.file.ReadAt(buffer, f.next)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	rest := buffer[:n]
	for {
		line, after, found := bytes.Cut(rest, []byte("\n"))
		if !found {
			break
		}
		offset := f.next
		f.next, rest = f.next+int64(len(line))+1, after
		if f.skipping {
			f.skipping = false
			continue
		}
		if !take(line, offset) {
			return nil
		}
	}
	if len(rest) < len(buffer) {
		f.atEnd = n < len(buffer)
		return nil
	}
	if !f.skipping {
		take(nil, f.next)
	}
	f.skipping, f.next = true, f.next+int64(len(rest))
	return nil
}
