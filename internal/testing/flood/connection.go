package flood

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
)

// firstWindow is how many bytes a stream or a connection may send at first; maxFrame is the size of a frame.
const firstWindow, maxFrame = 65535, 16 << 10

// connection is one connection. The goroutine of write sends; that of read receives.
type connection struct {
	socket net.Conn
	load   Load
	close  func()
	hpack  *hpack.Encoder
	header bytes.Buffer

	writing sync.Mutex // guards framer's writes
	framer  *http2.Framer

	mu      sync.Mutex
	changed *sync.Cond // any of the following
	streams map[uint32]*stream
	window  int // of the connection
	stream  int // the window of a new stream
	failed  bool
	ends    Ends
	ended   int // calls; used by read only
}

// stream is an open call.
type stream struct {
	method string
	rest   []byte // not sent yet
	stall  bool
	window int
}

func newConnection(socket net.Conn, load Load) *connection {
	c := &connection{
		socket: socket, load: load, framer: http2.NewFramer(socket, socket),
		streams: map[uint32]*stream{}, window: firstWindow, stream: firstWindow, ends: Ends{},
	}
	c.changed, c.hpack = sync.NewCond(&c.mu), hpack.NewEncoder(&c.header)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.close = sync.OnceFunc(func() {
		socket.Close()
		c.fail()
	})
	return c
}

func (c *connection) fail() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = true
	c.changed.Broadcast()
}

// write opens the calls and sends as much of each as its window lets it.
func (c *connection) write() error {
	for opened := 0; ; {
		c.mu.Lock()
		for !c.failed && !c.canOpen(opened) && len(c.sendable()) == 0 && !c.finished(opened) {
			c.changed.Wait()
		}
		open, ids, done := c.canOpen(opened), c.sendable(), c.failed || c.finished(opened)
		c.mu.Unlock()
		if done {
			return nil
		}
		if open {
			if err := c.open(opened); err != nil {
				return err
			}
			ids = []uint32{idOf(opened)}
			opened++
		}
		for _, id := range ids {
			if err := c.send(id); err != nil {
				return err
			}
		}
	}
}

func (c *connection) canOpen(opened int) bool {
	return opened < c.load.Total && len(c.streams) < c.load.AtATime
}

func (c *connection) finished(opened int) bool {
	return opened == c.load.Total && len(c.streams) == 0
}

// idOf returns the stream of the call i.
func idOf(i int) uint32 { return uint32(2*i + 1) }

// sendable returns the streams that may send a frame.
func (c *connection) sendable() (ids []uint32) {
	if c.window < maxFrame {
		return nil
	}
	for id, s := range c.streams {
		if len(s.rest) > 0 && s.window > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// open sends the headers of a call.
func (c *connection) open(i int) error {
	call, id := c.load.Next(i), idOf(i)
	c.header.Reset()
	for _, field := range call.headers(c.socket.RemoteAddr().String()) {
		if err := c.hpack.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.streams[id] = &stream{method: call.Method, rest: call.Body, stall: call.Stall, window: c.stream}
	c.mu.Unlock()
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.header.Bytes(), EndHeaders: true})
}

// send sends what the windows allow of a call, if it is open.
func (c *connection) send(id uint32) error {
	for {
		part, last := c.next(id)
		if len(part) == 0 {
			return nil
		}
		c.writing.Lock()
		err := c.framer.WriteData(id, last, part)
		c.writing.Unlock()
		if err != nil {
			return err
		}
	}
}

// next takes the next frame of a call, and reports whether it is the last one.
func (c *connection) next(id uint32) (part []byte, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[id]
	if s == nil || c.window < maxFrame {
		return nil, false
	}
	n := max(0, min(len(s.rest), maxFrame, s.window))
	part, s.rest = s.rest[:n], s.rest[n:]
	s.window, c.window = s.window-n, c.window-n
	return part, len(s.rest) == 0 && !s.stall
}

// read receives until every call has ended or the connection is closed.
func (c *connection) read() error {
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			c.fail()
			return fmt.Errorf("the server has closed the connection: %w", err)
		}
		if err := c.receive(frame); err != nil {
			c.fail()
			return err
		}
		if c.ended == c.load.Total {
			return nil
		}
	}
}

func (c *connection) receive(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.MetaHeadersFrame:
		if f.StreamEnded() {
			c.end(f.StreamID, codeOf(field(f, "grpc-status")))
		}
	case *http2.RSTStreamFrame:
		c.end(f.StreamID, codes.Unknown)
	case *http2.WindowUpdateFrame:
		c.mu.Lock()
		if s := c.streams[f.StreamID]; s != nil {
			s.window += int(f.Increment)
		} else if f.StreamID == 0 {
			c.window += int(f.Increment)
		}
		c.changed.Broadcast()
		c.mu.Unlock()
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			c.writing.Lock()
			defer c.writing.Unlock()
			return c.framer.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		return errors.New("the server sends GOAWAY: " + string(f.DebugData()))
	}
	return nil
}

// settings takes over the window of streams.
func (c *connection) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if window, ok := f.Value(http2.SettingInitialWindowSize); ok {
		c.mu.Lock()
		for _, s := range c.streams {
			s.window += int(window) - c.stream
		}
		c.stream = int(window)
		c.changed.Broadcast()
		c.mu.Unlock()
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.framer.WriteSettingsAck()
}

// end counts the end of a call. Its trailers may be followed by a reset, which is not counted.
func (c *connection) end(id uint32, code codes.Code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[id]
	if s == nil {
		return
	}
	delete(c.streams, id)
	if c.ends[s.method] == nil {
		c.ends[s.method] = map[codes.Code]int{}
	}
	c.ends[s.method][code]++
	c.ended++
	c.changed.Broadcast()
}

func field(f *http2.MetaHeadersFrame, name string) string {
	for _, h := range f.Fields {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}
