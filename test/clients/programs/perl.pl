# HTTP::Tiny, which Perl brings along: with a length, and chunked with a trailer section.
use strict;
use warnings;
use HTTP::Tiny;

my $http = HTTP::Tiny->new(timeout => 20);

sub run {
  my ($name, $with) = @_;
  my @statuses;
  for my $n (1 .. 3) {
    my $reference = "$ENV{SLUICE_PREFIX}/HTTP::Tiny/$name/$n";
    my $body = qq({"phone":"+989121234567","text":"x","type":"normal","reference":"$reference"});
    my $answer = $http->request("POST", "$ENV{SLUICE_URL}/v1/sms/send", {
      headers => {
        "X-API-Key" => $ENV{SLUICE_KEY},
        "Content-Type" => "application/json",
        "Idempotency-Key" => $reference,
      },
      $with->($body),
    });
    # 599 is HTTP::Tiny's own word for no answer.
    push @statuses, $answer->{status} == 599 ? 0 : $answer->{status};
  }
  print qq({"client":"HTTP::Tiny","case":"$name","statuses":[), join(",", @statuses), "]}\n";
}

sub pieces { my @left = (@_, undef); return sub { shift @left } }

run("plain", sub { (content => $_[0]) });
run("chunked", sub { (content => pieces($_[0])) });
run("trailer", sub { (content => pieces($_[0]), trailer_callback => sub { { "X-Sum" => 1 } }) });
