package e2e

import (
	"io"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// proxy is a TCP proxy in front of a server, until the end of the test.
type proxy struct {
	listener          net.Listener
	network, upstream string
	// answer passes on what the server sends, until one of the two ends the connection.
	answer  func(client, server net.Conn)
	serving sync.WaitGroup
	mu      sync.Mutex
	open    map[net.Conn]bool // nil after the end
}

func newProxy(t *testing.T, network, upstream string, answer func(client, server net.Conn)) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, network: network, upstream: upstream, answer: answer, open: map[net.Conn]bool{}}
	p.serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.serving.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.mu.Lock()
		for conn := range p.open {
			conn.Close()
		}
		p.open = nil
		p.mu.Unlock()
		p.serving.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial(p.network, p.upstream)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.add(client, server) {
		return
	}
	defer p.remove(client, server)
	p.serving.Go(func() {
		_, _ = io.Copy(server, client) // it returns when either connection closes
		server.Close()
	})
	p.answer(client, server)
}

// add reports false after the end of the test.
func (p *proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		return false
	}
	for _, conn := range conns {
		p.open[conn] = true
	}
	return true
}

func (p *proxy) remove(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		delete(p.open, conn)
	}
}

// cuttingProxy is a proxy that passes everything on, except between cut and pass: then it resets each connection in the
// middle of an answer, after a random number of bytes.
type cuttingProxy struct {
	*proxy
	mu     sync.Mutex
	random *rand.Rand // nil = it does not cut
	// resets counts the connections that were cut.
	resets int
}

func newCuttingProxy(t *testing.T, network, upstream string) *cuttingProxy {
	t.Helper()
	c := &cuttingProxy{}
	c.proxy = newProxy(t, network, upstream, c.copy)
	return c
}

// count returns how many connections were cut.
func (c *cuttingProxy) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resets
}

// cut cuts connections at places of a source of its own, which random seeds: they use it while the test uses random.
func (c *cuttingProxy) cut(random *rand.Rand) { c.setRandom(rand.New(rand.NewPCG(random.Uint64(), 0))) }

func (c *cuttingProxy) pass() { c.setRandom(nil) }

func (c *cuttingProxy) setRandom(random *rand.Rand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.random = random
}

// unlimited is how many bytes a connection may pass that is not to be cut.
const unlimited = -1

// maxCut is the highest number of bytes after which a connection is cut: some answers are a few bytes long, others many.
const maxCut = 16 << 10

// limit returns how many bytes a connection may still pass; left is the previous result.
func (c *cuttingProxy) limit(left int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.random == nil:
		return unlimited
	case left != unlimited:
		return left
	}
	return int(math.Pow(maxCut, c.random.Float64()))
}

// copy passes on what the server sends.
func (c *cuttingProxy) copy(client, server net.Conn) {
	buffer, left := make([]byte, 32<<10), unlimited
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		left = c.limit(left)
		cut := left != unlimited && n > left
		if cut {
			n = left
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
		if cut {
			c.reset(client)
			return
		}
		if left != unlimited {
			left -= n
		}
	}
}

// reset closes a connection with a RST packet instead of a FIN, as a failing network does.
func (c *cuttingProxy) reset(client net.Conn) {
	c.mu.Lock()
	c.resets++
	c.mu.Unlock()
	if conn, ok := client.(*net.TCPConn); ok {
		_ = conn.SetLinger(0) // it fails only if the client has closed the connection
	}
}
