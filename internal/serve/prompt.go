package serve

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/keytrail/keytrail/internal/fault"
)

// maxReflections is how many streams of reflection are open at a time. Anybody may open one, and whoever does not read
// what it asks for has the server hold it. To be without reflection for a while hurts nobody.
const maxReflections = 32

var (
	errLate        = fault.New(fault.RequestLate, "the request did not arrive in time")
	errReflections = fault.New(fault.ReflectionBusy, "too many use reflection: try again later")
)

// arrivalTime is how long a request may take to arrive, from its headers to its end: until then its bytes are held, of as
// many calls at a time as a client cares to open. What anybody may send is a few bytes.
func arrivalTime(method string) time.Duration {
	if strings.HasPrefix(method, "/grpc.") {
		return headerTime
	}
	return requestTime
}

// arrival is what became of a request. panicked is the panic, if there was one, and where it was.
type arrival struct {
	err      error
	panicked string
}

// within waits for a request no longer than limit. It leaves the wait behind then; that ends with the call. Panics come
// through to whoever looks after those of calls.
func within(limit time.Duration, take func() error) error {
	arrived := make(chan arrival, 1)
	go func() {
		var a arrival
		defer func() {
			if p := recover(); p != nil {
				a.panicked = fmt.Sprintf("%v\n%s", p, debug.Stack())
			}
			arrived <- a
		}()
		a.err = take()
	}()
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case a := <-arrived:
		if a.panicked != "" {
			panic(a.panicked)
		}
		return a.err
	case <-late.C:
		return errLate
	}
}

// receive waits for a request no longer than limit and has it taken apart. It answers what the codec says of it.
func receive(limit time.Duration, from func(any) error, into any) error {
	p := &parcel{into: into}
	if err := within(limit, func() error { return from(p) }); err != nil {
		return err
	}
	return p.err
}

// promptStream is a stream of one request, which must arrive in time.
type promptStream struct {
	grpc.ServerStream
	limit time.Duration
}

// RecvMsg implements grpc.ServerStream.
func (s promptStream) RecvMsg(message any) error {
	return receive(s.limit, s.ServerStream.RecvMsg, message)
}

// limitReflection refuses streams of reflection where too many are open.
func limitReflection() grpc.StreamServerInterceptor {
	seats := make(chan struct{}, maxReflections)
	return func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		if !strings.HasPrefix(info.FullMethod, "/grpc.reflection.") {
			return next(service, stream)
		}
		select {
		case seats <- struct{}{}:
		default:
			return errReflections
		}
		defer func() { <-seats }()
		return next(service, stream)
	}
}
