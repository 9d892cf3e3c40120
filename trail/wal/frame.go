package wal

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// A frame is one record in a segment, little endian:
//
//	 0  4  magic, "KTR2"
//	 4  4  length of the payload in bytes; 0 = a probe, which readers skip
//	 8  8  when it was appended, Unix time in ms
//	16  4  CRC-32C (RFC 3720, appendix B.4) of bytes 4 to 16 and the payload, XOR the salt of the segment
//	20  …  the payload
//
// The salt is random and part of the file name. Without it, a payload could contain bytes that form a valid frame, which
// the reader would accept if the surrounding frame is damaged.
const (
	magic       = "KTR2"
	headerBytes = 20
)

// MaxRecord is the maximum size of a record in bytes.
const MaxRecord = 64 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame appends the frame of a payload to buf.
func appendFrame(buf []byte, salt uint32, at time.Time, payload []byte) []byte {
	start := len(buf)
	buf = append(buf, magic...)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(payload)))
	buf = binary.LittleEndian.AppendUint64(buf, uint64(at.UnixMilli()))
	buf = binary.LittleEndian.AppendUint32(buf, checksum(buf[start+4:], payload)^salt)
	return append(buf, payload...)
}

func checksum(header, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(header, castagnoli), castagnoli, payload)
}

// payloadLength returns the length in the header of a frame; ok is false if it is not such a header.
func payloadLength(header []byte) (length int, ok bool) {
	if string(header[:4]) != magic {
		return 0, false
	}
	n := binary.LittleEndian.Uint32(header[4:])
	return int(n), n <= MaxRecord
}

// checksumMatches reports whether a frame has the checksum that its header states.
func checksumMatches(frame []byte, salt uint32) bool {
	return checksum(frame[4:16], frame[headerBytes:])^salt == binary.LittleEndian.Uint32(frame[16:])
}

func appendTime(frame []byte) time.Time {
	return time.UnixMilli(int64(binary.LittleEndian.Uint64(frame[8:])))
}
