package envoy

import (
	"net/http"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	authv1 "github.com/keytrail/keytrail/gen/keytrail/auth/v1"
	"github.com/keytrail/keytrail/internal/authresult"
)

// ownHeaders are the prefix of the headers that tell a service who calls. A client's own must not reach it.
const ownHeaders = "x-keytrail-"

// alwaysRemoved are headers of a request that never reach the service behind Envoy.
var alwaysRemoved = []string{
	authresult.APIKeyHeader, authresult.ErrorCodeHeader, authresult.ErrorHeader, authresult.ReportTokenHeader,
}

// allowed returns the response that lets a request pass with the headers of the caller's identity:
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/external_auth.proto#service-auth-v3-okhttpresponse
func allowed(check *authv1.CheckResponse, request *authv3.AttributeContext_HttpRequest) *authv3.CheckResponse {
	ok := &authv3.OkHttpResponse{HeadersToRemove: slices.Clone(alwaysRemoved)}
	for _, header := range authresult.Identity(check) {
		if header.Value == "" {
			ok.HeadersToRemove = append(ok.HeadersToRemove, header.Name)
		} else {
			ok.Headers = append(ok.Headers, set(header.Name, header.Value))
		}
	}
	// Envoy removes after it has set: a header must not be in both lists.
	isSet := func(name string) bool {
		return slices.ContainsFunc(ok.Headers, func(h *corev3.HeaderValueOption) bool { return h.GetHeader().GetKey() == name })
	}
	for name := range headerNames(request) {
		if isOwn(name) && !isSet(name) && !slices.Contains(ok.HeadersToRemove, name) {
			ok.HeadersToRemove = append(ok.HeadersToRemove, name)
		}
	}
	return &authv3.CheckResponse{
		Status: &status.Status{Code: int32(codes.OK)}, DynamicMetadata: metadata(check.GetReportToken(), 0),
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok},
	}
}

// isOwn reports whether a service may read a header as one of ours: those with CGI or WSGI read an underscore as a hyphen.
func isOwn(name string) bool {
	return strings.HasPrefix(strings.ReplaceAll(name, "_", "-"), ownHeaders)
}

// headerNames yields the names of a request's headers, which Envoy writes in lower case.
func headerNames(request *authv3.AttributeContext_HttpRequest) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for name := range request.GetHeaders() {
			if !yield(name) {
				return
			}
		}
		for _, header := range request.GetHeaderMap().GetHeaders() {
			if !yield(header.GetKey()) {
				return
			}
		}
	}
}

// denied returns the response with which Envoy refuses a request. Its headers go to the client:
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/external_auth.proto#service-auth-v3-deniedhttpresponse
func denied(refusal authresult.Refusal, reportToken string) *authv3.CheckResponse {
	code := codes.PermissionDenied
	headers := []*corev3.HeaderValueOption{
		set("content-type", "application/json"), set(authresult.ErrorCodeHeader, refusal.Code),
	}
	if refusal.Status == http.StatusUnauthorized {
		code = codes.Unauthenticated
		headers = append(headers, set("www-authenticate", authresult.Challenge))
	}
	return &authv3.CheckResponse{
		Status: &status.Status{Code: int32(code), Message: refusal.Code}, DynamicMetadata: metadata(reportToken, refusal.Status),
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode(refusal.Status)}, Headers: headers, Body: refusal.Body(),
		}},
	}
}

// set returns the option that replaces all values of a header. Older releases of Envoy read the field append instead, whose default
// means the same in these responses:
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/core/v3/base.proto#config-core-v3-headervalueoption
func set(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// metadata returns the dynamic metadata that the access log brings back; nil if the call cannot be reported.
// deniedStatus is the HTTP status of a denied call, 0 of another one.
func metadata(reportToken string, deniedStatus int) *structpb.Struct {
	if reportToken == "" {
		return nil
	}
	fields := map[string]*structpb.Value{tokenField: structpb.NewStringValue(reportToken)}
	if deniedStatus != 0 {
		fields[deniedField] = structpb.NewNumberValue(float64(deniedStatus))
	}
	return &structpb.Struct{Fields: fields}
}
