// SPDX-License-Identifier: Apache-2.0

// A gRPC service and a scripted client of it, neither traced.
//
// usage: grpc-go serve ADDRESS | grpc-go call ADDRESS
//
// The service is gRPC's own TestService. The client waits for SIGUSR1, makes the calls of
// the script below one after the other, then 100 at once on its one connection.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	testpb "google.golang.org/grpc/interop/grpc_testing"
)

type service struct {
	testpb.UnimplementedTestServiceServer
	// Answers the 100 calls only when all of them have come.
	together sync.WaitGroup
}

func (s *service) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	return &testpb.Empty{}, nil
}

func (s *service) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if in.FillUsername {
		s.together.Done()
		s.together.Wait()
	}
	if in.ResponseStatus != nil {
		return nil, status.Error(codes.Code(in.ResponseStatus.Code), in.ResponseStatus.Message)
	}
	return &testpb.SimpleResponse{Payload: &testpb.Payload{Body: make([]byte, in.ResponseSize)}}, nil
}

func (s *service) StreamingOutputCall(in *testpb.StreamingOutputCallRequest, out testpb.TestService_StreamingOutputCallServer) error {
	for _, parameters := range in.ResponseParameters {
		payload := &testpb.Payload{Body: make([]byte, parameters.Size)}
		if err := out.Send(&testpb.StreamingOutputCallResponse{Payload: payload}); err != nil {
			return err
		}
	}
	if len(in.ResponseParameters) == 0 {
		<-out.Context().Done()
		return out.Context().Err()
	}
	return nil
}

func (s *service) StreamingInputCall(in testpb.TestService_StreamingInputCallServer) error {
	size := 0
	for {
		message, err := in.Recv()
		if err == io.EOF {
			return in.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: int32(size)})
		}
		if err != nil {
			return err
		}
		size += len(message.Payload.Body)
	}
}

func serve(address string) {
	listener, err := net.Listen("tcp", address)
	check(err)
	server := grpc.NewServer()
	own := &service{}
	own.together.Add(concurrent)
	testpb.RegisterTestServiceServer(server, own)
	fmt.Println("listening")
	check(server.Serve(listener))
}

const concurrent = 100

func call(address string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	fmt.Println("waiting")
	<-signals
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	client := testpb.NewTestServiceClient(connection)
	one(client)
	streams(client)
	together(client)
	fmt.Println("done")
	<-signals
}

func one(client testpb.TestServiceClient) {
	ctx := context.Background()
	_, err := client.EmptyCall(ctx, &testpb.Empty{})
	check(err)
	_, err = client.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: 50_000})
	check(err)
	_, err = client.UnaryCall(ctx, &testpb.SimpleRequest{
		ResponseStatus: &testpb.EchoStatus{Code: int32(codes.NotFound), Message: "a secret"},
	})
	expect(err, codes.NotFound)
	_, err = client.UnimplementedCall(ctx, &testpb.Empty{})
	expect(err, codes.Unimplemented)
}

func streams(client testpb.TestServiceClient) {
	ctx := context.Background()
	sizes := []*testpb.ResponseParameters{{Size: 10}, {Size: 5000}, {Size: 30}}
	out, err := client.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{ResponseParameters: sizes})
	check(err)
	for range sizes {
		_, err = out.Recv()
		check(err)
	}
	if _, err = out.Recv(); err != io.EOF {
		log.Fatal(err)
	}
	in, err := client.StreamingInputCall(ctx)
	check(err)
	for range 5 {
		check(in.Send(&testpb.StreamingInputCallRequest{Payload: &testpb.Payload{Body: make([]byte, 7)}}))
	}
	_, err = in.CloseAndRecv()
	check(err)

	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	out, err = client.StreamingOutputCall(short, &testpb.StreamingOutputCallRequest{})
	check(err)
	_, err = out.Recv()
	expect(err, codes.DeadlineExceeded)

	cancelled, stop := context.WithCancel(ctx)
	out, err = client.StreamingOutputCall(cancelled, &testpb.StreamingOutputCallRequest{})
	check(err)
	time.AfterFunc(50*time.Millisecond, stop)
	_, err = out.Recv()
	expect(err, codes.Canceled)
}

func together(client testpb.TestServiceClient) {
	var group sync.WaitGroup
	for range concurrent {
		group.Go(func() {
			_, err := client.UnaryCall(context.Background(), &testpb.SimpleRequest{FillUsername: true})
			check(err)
		})
	}
	group.Wait()
}

func expect(err error, code codes.Code) {
	if status.Code(err) != code {
		log.Fatalf("expected %v, got %v", code, err)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2])
	case "call":
		call(os.Args[2])
	default:
		log.Fatal("usage: grpc-go serve|call ADDRESS")
	}
}
