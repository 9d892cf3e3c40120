package wal

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// A frame is one record in a segment, little endian:
//
//	 0  4  magic, "KTR2"
//	 4  4  length of the payload in bytes; 0 = a probe, which readers pass over
//	 8  8  when it was appended, Unix time in ms
//	16  4  CRC-32C (RFC 3720, appendix B.4) of bytes 4 to 16 and the payload, XOR the salt of the segment
//	20  …  the payload
//
// The salt is random and stands in the name of the file, so that no payload can hold what reads as a frame of its
// own, should the frame around it be damaged.
const (
	magic       = "KTR2"
	headerBytes = 20
)

// MaxRecord is the longest payload, in bytes.
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

// payloadBytes reads the length out of a frame's header; ok is false where no frame begins.
func payloadBytes(header []byte) (length int, ok bool) {
	if string(header[:4]) != magic {
		return 0, false
	}
	n := binary.LittleEndian.Uint32(header[4:])
	return int(n), n <= MaxRecord
}

// sound tells whether a frame of the right length is what was written.
func sound(frame []byte, salt uint32) bool {
	return checksum(frame[4:16], frame[headerBytes:])^salt == binary.LittleEndian.Uint32(frame[16:])
}

func appendedAt(frame []byte) time.Time {
	return time.UnixMilli(int64(binary.LittleEndian.Uint64(frame[8:])))
}
