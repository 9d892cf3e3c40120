package client_test

import (
	"context"
	"expvar"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/keytrail/keytrail/client"
)

// A whole backend. When it gets SIGTERM, it finishes the requests in flight and reports them.
func Example() {
	kt, err := client.New("127.0.0.1:7001", client.WithToken(os.Getenv("KEYTRAIL_TOKEN")))
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/agents/{id}/run", func(w http.ResponseWriter, r *http.Request) {
		caller, _ := client.IdentityFromContext(r.Context())
		fmt.Fprintf(w, "agent %s runs for customer %s\n", r.PathValue("id"), caller.ExternalID)
	})
	server := &http.Server{Addr: "127.0.0.1:8000", Handler: kt.HTTPMiddleware(mux)}

	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	go func() {
		if err := server.ListenAndServe(); err != http.ErrServerClosed {
			log.Fatal(err)
		}
	}()
	<-stop.Done()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		log.Print(err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := kt.Close(ctx); err != nil {
		log.Print(err)
	}
}

func ExampleNew() {
	transport, err := credentials.NewClientTLSFromFile("/etc/keytrail/ca.pem", "")
	if err != nil {
		log.Print(err)
		return
	}
	kt, err := client.New("authsvc.example.com:7001",
		client.WithTransportCredentials(transport),
		client.WithTokenFile("/run/secrets/keytrail-token"),
		client.WithWorkspace("acme"),
		client.WithCheckTimeout(500*time.Millisecond))
	if err != nil {
		log.Print(err)
		return
	}
	defer kt.Close(context.Background())
}

// Handlers outside of the middleware need no API key.
func ExampleClient_HTTPMiddleware() {
	kt, err := client.New("127.0.0.1:7001")
	if err != nil {
		log.Fatal(err)
	}
	api := http.NewServeMux()
	api.HandleFunc("/v1/agents/{id}", func(http.ResponseWriter, *http.Request) {})

	root := http.NewServeMux()
	root.Handle("/v1/", kt.HTTPMiddleware(api))
	root.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	log.Fatal(http.ListenAndServe("127.0.0.1:8000", root))
}

// The called agent is in the metadata of each call.
func ExampleClient_UnaryServerInterceptor() {
	agent := func(ctx context.Context, _ string, _ any) client.Agent {
		id := ""
		if values := metadata.ValueFromIncomingContext(ctx, "agent-id"); len(values) > 0 {
			id = values[0]
		}
		return client.Agent{Type: "agent", ID: id}
	}
	kt, err := client.New("127.0.0.1:7001", client.WithGRPCAgent(agent))
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(kt.UnaryServerInterceptor()),
		grpc.ChainStreamInterceptor(kt.StreamServerInterceptor()))
	listener, err := net.Listen("tcp", "127.0.0.1:9000")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Serve(listener))
}

func ExampleWithAgentPaths() {
	kt, err := client.New("127.0.0.1:7001", client.WithAgentPaths(
		"/{workspace_id}/{agent_type}s/{agent_id}", // /acme/voice_agents/a1/calls
		"agent=/bots/bot-{agent_id}",               // /bots/bot-7
		"data_agent=/search",                       // no agent in particular
	))
	if err != nil {
		log.Fatal(err)
	}
	defer kt.Close(context.Background())
}

func ExampleWithHTTPAgent() {
	kt, err := client.New("127.0.0.1:7001", client.WithHTTPAgent(func(r *http.Request) client.Agent {
		return client.Agent{WorkspaceID: "acme", Type: "agent", ID: r.URL.Query().Get("agent")}
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer kt.Close(context.Background())
}

// While the auth service cannot be reached, calls are served unchecked and counted.
func ExampleWithFailOpen() {
	kt, err := client.New("127.0.0.1:1", client.WithFailOpen()) // nothing serves there
	if err != nil {
		log.Fatal(err)
	}
	defer kt.Close(context.Background())
	expvar.Publish("keytrail", expvar.Func(func() any { return kt.Stats() }))
	response, served := call(kt, "/v1/agents/a1")
	fmt.Println(response.Code, served, kt.Stats().Unchecked)
	// Output: 200 true 1
}
