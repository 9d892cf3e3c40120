// Package flood sends gRPC calls as abusive clients do: many at a time, with frames of its own, so that it can stop before the
// last byte of a request and ignore that a call has ended.
package flood

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// Call is one call.
type Call struct {
	// Method is its full name.
	Method string
	// Authorization is the header of that name; empty = none.
	Authorization string
	// Gzip says that the message is compressed.
	Gzip bool
	// Body is what follows the headers; see Body.
	Body []byte
	// Stall leaves the call open after Body.
	Stall bool
}

// Load are the calls of one connection.
type Load struct {
	// Total is the number of calls, AtATime how many of them are open.
	Total, AtATime int
	// Next returns the calls, from 0.
	Next func(i int) Call
}

// Ends counts the calls that the server has ended, by method and code. A call that it reset has codes.Unknown.
type Ends map[string]map[codes.Code]int

// Run makes the calls of a connection to addr. It returns when all have ended, or with the error of ctx.
func Run(ctx context.Context, addr string, load Load) (Ends, error) {
	socket, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := newConnection(socket, load)
	stop := context.AfterFunc(ctx, c.close)
	defer stop()
	defer c.close()
	err = c.run()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return c.ends, err
}

func (c *connection) run() error {
	if _, err := c.socket.Write([]byte(http2.ClientPreface)); err != nil {
		return fmt.Errorf("send the preface: %w", err)
	}
	if err := c.framer.WriteSettings(); err != nil {
		return fmt.Errorf("send the settings: %w", err)
	}
	reading := make(chan error, 1)
	go func() { reading <- c.read() }()
	err := c.write()
	if err != nil {
		c.close() // ends read
	}
	return errors.Join(err, <-reading)
}

// Body returns a message with the prefix that gRPC gives it.
func Body(message []byte, compressed bool) []byte {
	prefix := []byte{0}
	if compressed {
		prefix[0] = 1
	}
	return append(binary.BigEndian.AppendUint32(prefix, uint32(len(message))), message...)
}

// headers returns the headers of a call.
func (c Call) headers(authority string) [][2]string {
	headers := [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", c.Method}, {":authority", authority},
		{"content-type", "application/grpc"}, {"te", "trailers"},
	}
	if c.Gzip {
		headers = append(headers, [2]string{"grpc-encoding", "gzip"})
	}
	if c.Authorization != "" {
		headers = append(headers, [2]string{"authorization", c.Authorization})
	}
	return headers
}

// codeOf reads grpc-status.
func codeOf(text string) codes.Code {
	number, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return codes.Unknown
	}
	return codes.Code(number)
}
