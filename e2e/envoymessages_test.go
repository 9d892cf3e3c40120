package e2e

import (
	"context"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	dataaccesslogv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// envoyProxy sends what an Envoy 1.36 sends, with ext_authz, and with the access log http_grpc, on one connection. Which fields Envoy
// fills, and how, is in its source: source/extensions/filters/common/ext_authz/check_request_utils.cc,
// source/extensions/access_loggers/grpc/grpc_access_log_utils.cc and http_grpc_access_log_impl.cc. docs/integrations/envoy.md has the
// configuration.
type envoyProxy struct {
	t      *testing.T
	checks authv3.AuthorizationClient
	logs   accesslogv3.AccessLogServiceClient
}

func newEnvoy(t *testing.T, conn *grpc.ClientConn) *envoyProxy {
	t.Helper()
	return &envoyProxy{t, authv3.NewAuthorizationClient(conn), accesslogv3.NewAccessLogServiceClient(conn)}
}

// envoyCall is a request at Envoy.
type envoyCall struct {
	path, apiKey string
	headers      map[string]string
	// extensions are context_extensions of the route.
	extensions map[string]string
	// metadata is the dynamic metadata of the request, after the check.
	metadata *structpb.Struct
}

// check asks whether a request may pass, and keeps the dynamic metadata of the response, as the filter does.
func (e *envoyProxy) check(ctx context.Context, c *envoyCall) (*authv3.CheckResponse, error) {
	response, err := e.checks.Check(ctx, c.request())
	if err != nil || len(response.GetDynamicMetadata().GetFields()) == 0 {
		return response, err
	}
	c.metadata = response.GetDynamicMetadata()
	if response.GetOkResponse() != nil {
		c.metadata.Fields["ext_authz_duration"] = structpb.NewNumberValue(1) // the filter adds it
	}
	return response, nil
}

// request returns the message of the filter.
func (c *envoyCall) request() *authv3.CheckRequest {
	headers := map[string]string{
		":method": "POST", ":path": c.path, ":authority": "api.example.com", ":scheme": "https", "user-agent": "curl/8.5.0", "accept": "*/*",
		"x-forwarded-proto": "https", "x-request-id": "4d6ff5ab-5e0b-4b1a-9ab0-7e9a8f4a4c1e",
	}
	if c.apiKey != "" {
		headers["api-key"] = c.apiKey
	}
	for name, value := range c.headers {
		headers[strings.ToLower(name)] = value
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Address: address("192.0.2.7", 40112)}, Destination: &authv3.AttributeContext_Peer{Address: address("192.0.2.1", 443)},
		Request: &authv3.AttributeContext_Request{Time: timestamppb.Now(), Http: &authv3.AttributeContext_HttpRequest{
			Id: "12147337340396154813", Method: "POST", Path: c.path, Host: "api.example.com", Scheme: "https", Size: -1, Protocol: "HTTP/1.1", Headers: headers,
		}},
		ContextExtensions: maps.Clone(c.extensions), MetadataContext: &corev3.Metadata{}, RouteMetadataContext: &corev3.Metadata{},
	}}
}

func address(ip string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: ip, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

// entry returns the entry at the end of the request. Status 0 means that the client was gone before a response.
func (c *envoyCall) entry(httpStatus uint32, duration time.Duration) *dataaccesslogv3.HTTPAccessLogEntry {
	common := &dataaccesslogv3.AccessLogCommon{
		DownstreamRemoteAddress: address("192.0.2.7", 40112), DownstreamDirectRemoteAddress: address("192.0.2.7", 40112),
		DownstreamLocalAddress: address("192.0.2.1", 443), TlsProperties: &dataaccesslogv3.TLSProperties{TlsSniHostname: "api.example.com"},
		StartTime: timestamppb.Now(), Duration: durationpb.New(duration), TimeToLastRxByte: durationpb.New(40 * time.Microsecond),
		ResponseFlags: &dataaccesslogv3.ResponseFlags{}, AccessLogType: dataaccesslogv3.AccessLogType_DownstreamEnd, StreamId: "4d6ff5ab",
	}
	if c.metadata != nil {
		common.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"envoy.filters.http.ext_authz": c.metadata}}
	}
	response := &dataaccesslogv3.HTTPResponseProperties{ResponseHeadersBytes: 120, ResponseBodyBytes: 12}
	switch {
	case httpStatus == 0: // no response code, and no byte was sent
		common.ResponseFlags.DownstreamConnectionTermination = true
		response = &dataaccesslogv3.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(0), ResponseCodeDetails: "downstream_remote_disconnect"}
	case httpStatus == 401 || httpStatus == 403:
		common.ResponseFlags.UnauthorizedDetails = &dataaccesslogv3.ResponseFlags_Unauthorized{Reason: dataaccesslogv3.ResponseFlags_Unauthorized_EXTERNAL_SERVICE}
		response.ResponseCode, response.ResponseCodeDetails = wrapperspb.UInt32(httpStatus), "ext_authz_denied"
	default:
		common.UpstreamCluster, common.UpstreamRemoteAddress = "agents", address("192.0.2.20", 8080)
		common.UpstreamRequestAttemptCount, common.RouteName = 1, "agents"
		response.ResponseCode, response.ResponseCodeDetails = wrapperspb.UInt32(httpStatus), "via_upstream"
	}
	if httpStatus != 0 {
		common.TimeToFirstDownstreamTxByte = durationpb.New(duration - 20*time.Microsecond)
		common.TimeToLastDownstreamTxByte = durationpb.New(duration - 10*time.Microsecond)
	}
	return &dataaccesslogv3.HTTPAccessLogEntry{
		CommonProperties: common, ProtocolVersion: dataaccesslogv3.HTTPAccessLogEntry_HTTP11, Response: response,
		Request: &dataaccesslogv3.HTTPRequestProperties{
			RequestMethod: corev3.RequestMethod_POST, Scheme: "https", Authority: "api.example.com", Path: c.path, UserAgent: "curl/8.5.0",
			RequestHeadersBytes: 300, RequestBodyBytes: 20,
		},
	}
}

// entries returns a message with entries. The first message of a stream has the identifier, too.
func entries(first bool, all ...*dataaccesslogv3.HTTPAccessLogEntry) *accesslogv3.StreamAccessLogsMessage {
	message := &accesslogv3.StreamAccessLogsMessage{}
	if len(all) > 0 {
		message.LogEntries = &accesslogv3.StreamAccessLogsMessage_HttpLogs{
			HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: all},
		}
	}
	if first {
		message.Identifier = &accesslogv3.StreamAccessLogsMessage_Identifier{
			LogName: "keytrail", Node: &corev3.Node{Id: "edge-1", Cluster: "edge", UserAgentName: "envoy"},
		}
	}
	return message
}

// log sends messages on a new stream, and ends it as an Envoy does that stops.
func (e *envoyProxy) log(ctx context.Context, messages ...*accesslogv3.StreamAccessLogsMessage) {
	e.t.Helper()
	stream, err := e.logs.StreamAccessLogs(ctx)
	for i := 0; err == nil && i < len(messages); i++ {
		err = stream.Send(messages[i])
	}
	if err == nil {
		_, err = stream.CloseAndRecv()
	}
	if err != nil {
		e.t.Fatalf("send %s messages of the access log: %v", strconv.Itoa(len(messages)), err)
	}
}
