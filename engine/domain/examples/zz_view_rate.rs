use domain::codec::*; use domain::*; use std::time::Instant; use std::hint::black_box;
fn rss()->u64{let s=std::fs::read_to_string("/proc/self/statm").unwrap();s.split(' ').nth(1).unwrap().parse::<u64>().unwrap()*4096}
fn mix(i:u64)->u64{let mut z=i.wrapping_mul(0x9E3779B97F4A7C15);z=(z^(z>>30)).wrapping_mul(0xBF58476D1CE4E5B9);z=(z^(z>>27)).wrapping_mul(0x94D049BB133111EB);z^(z>>31)}
fn main(){
 let n:u32=std::env::args().nth(1).map_or(4_000_000,|a|a.parse().unwrap());
 let per=100u32;
 // codec
 let mut out=Vec::with_capacity(1<<20);
 let mut best=f64::MAX; for _ in 0..40 { let t=Instant::now(); let m=500_000u64;
 for i in 0..m { if out.len()>1_000_000 {out.clear();} encode_command(&Envelope{origin:Origin(i),command:Command::Book{person:PersonRef::Number(PersonNumber(i as u32)),period:PeriodNumber(2),slot:SlotNumber(i as u32/50),retry:RetryKey{key:KeyHash(i*7),fingerprint:Fingerprint(i*9)}}},&mut out);}
 best=best.min(t.elapsed().as_nanos() as f64/m as f64);} println!("encode_command {best:.1} ns");
 out.clear(); for i in 0..1000u64 { encode_command(&Envelope{origin:Origin(i),command:Command::Book{person:PersonRef::Number(PersonNumber(i as u32)),period:PeriodNumber(2),slot:SlotNumber(i as u32/50),retry:RetryKey{key:KeyHash(i*7),fingerprint:Fingerprint(i*9)}}},&mut out);}
 let mut best=f64::MAX; for _ in 0..2000 {let t=Instant::now(); for c in out.chunks_exact(36){ black_box(&decode_command(black_box(c)).unwrap()); } best=best.min(t.elapsed().as_nanos() as f64/1e3);}
 println!("decode_command {best:.1} ns");
 // view
 let mut v=View::new(); let mut at=Millis(1_626_148_800_000); let mut seq=0u64; let r0=rss();
 let day=at.day();
 v.absorb(Sequence(1),at,&Event::SitesPut{sites:vec![(SiteNumber(0),Site{id:"a".into(),name_zh:"".into(),name_en:"".into(),county:CountyNumber(0),district:DistrictNumber(0),address:"".into(),kind:"".into()})]});
 v.absorb(Sequence(1),at,&Event::VaccineNamed{vaccine:VaccineNumber(0),name:"AZ".into()});
 for s in 0..(n/per+1) { v.absorb(Sequence(1),at,&Event::SlotsPut{slots:vec![(SlotNumber(s),Slot{site:SiteNumber(0),day:Day(day.0+1+(s%1000) as i32),start_minute:(s/1000%1000) as u16,end_minute:1400,vaccine:VaccineNumber(0),capacity:per})]}); }
 assert_eq!(v.contradictions(),0);
 let t=Instant::now();
 for i in 0..n { let mut k=[0u8;16]; k[..8].copy_from_slice(&mix(i as u64).to_le_bytes()); k[8..].copy_from_slice(&mix(!(i as u64)).to_le_bytes()); v.absorb(Sequence(i as u64+2),at,&Event::Numbered{person:PersonNumber(i),key:PersonKey(k)});}
 println!("numbered {:.1} ns, {:.1} B/person",t.elapsed().as_nanos() as f64/n as f64,(rss()-r0) as f64/n as f64);
 let r1=rss(); let t=Instant::now();
 let intent=Intent{county:CountyNumber(1),district:DistrictNumber(1),vaccines:VaccineSet(1),language:LanguageNumber(0)};
 for i in 0..n { v.absorb(Sequence(1),at,&Event::Registered{person:PersonNumber(i),key:KeyHash(1),fingerprint:Fingerprint(1),serial:i+1,born_on:Day(0),intent,sealed:Vec::new()});}
 println!("registered {:.1} ns, {:.1} B",t.elapsed().as_nanos() as f64/n as f64,(rss()-r1) as f64/n as f64);
 let r2=rss();
 // random order bookings, groups of 160 through bytes
 let stride=(0..).map(|k|(n as u64*618/1000+k)|1).find(|s|{let (mut a,mut b)=(*s,n as u64);while b!=0{let r=a%b;a=b;b=r;}a==1}).unwrap();
 let mut groups=Vec::new(); let mut w=EventGroupWriter::new(Sequence(1),at); let mut inner=0;
 let mut enc=0u128; let mut p=0u64;
 let mut slot_of: Vec<u32>=Vec::new(); slot_of.reserve(0);
 for i in 0..n { p=(p+stride)%n as u64; let e=[Event::Confirmed{person:PersonNumber(p as u32),period:PeriodNumber(2),key:KeyHash(mix(i as u64)),fingerprint:Fingerprint(5),booking:BookingNumber(i),slot:SlotNumber(((i as u64*7919)%(n/per) as u64) as u32)}]; let t=Instant::now(); let _=&t; w.command(Origin(i as u64),&e); inner+=1; if inner==160||i+1==n {let mut o=Vec::new(); w.finish([0;32],&mut o); groups.push(o); seq+=inner; at.0+=1; w.restart(Sequence(seq+1),at); inner=0;} enc+=0; }
 let _=enc; let _=stride;
 let r2b=rss(); let _=r2b;
 let mut best=f64::MAX; for g in &groups { let t=Instant::now(); let mut c=0u64; let g=EventGroup::decode(g).unwrap(); g.for_each(|s,o,i,e|{black_box((s,o,i,e));c+=1;}).unwrap(); best=best.min(t.elapsed().as_nanos() as f64/c as f64);} println!("decode events only {best:.1} ns");
 let t=Instant::now(); let mut c=0u64; for g in &groups { let g=EventGroup::decode(g).unwrap(); for x in g.commands(){ let x=x.unwrap(); c+=x.events.len() as u64; black_box(&x);} } println!("decode events as Vec {:.1} ns",t.elapsed().as_nanos() as f64/c as f64);
 let mut ts=Vec::new(); let t=Instant::now(); for g in &groups { let t=Instant::now(); let g=EventGroup::decode(g).unwrap(); let at=g.at; let c=g.count; g.for_each(|s,_,_,e|v.absorb(s,at,e)).unwrap(); ts.push(t.elapsed().as_nanos() as f64/c as f64); } ts.sort_by(f64::total_cmp); println!("group p10 {:.1} p50 {:.1} p90 {:.1}",ts[ts.len()/10],ts[ts.len()/2],ts[ts.len()*9/10]);
 println!("confirmed decode+absorb {:.1} ns, {:.1} B/booking; contradictions {}",t.elapsed().as_nanos() as f64/n as f64,(rss()-r2b) as f64/n as f64, v.contradictions());
 let _=r2;
 let t=Instant::now(); for i in 0..1_000_000u64 { let i=mix(i)%n as u64; black_box(v.outcome(PersonNumber(i as u32),PeriodNumber(2),KeyHash(3))); } println!("outcome miss {:.1} ns",t.elapsed().as_nanos() as f64/1e6);
 let t=Instant::now(); for i in 0..1_000_000u64 { let i=mix(i)%n as u64; black_box(v.active_booking(PersonNumber(i as u32),at)); } println!("active booking {:.1} ns",t.elapsed().as_nanos() as f64/1e6);
 v.absorb(Sequence(9),at,&Event::PeriodPut{period:Period{number:PeriodNumber(2),names:vec![],vaccines:vec!["AZ".into()],registered_before:None,counties:None,categories:None,born_on_or_before:None,opens_at:at,closes_at:at,openings:vec![],identity_methods:vec![]},vaccines:VaccineSet(1)});
 let t=Instant::now(); black_box(v.sites_with_places(PeriodNumber(2),None,None,at)); println!("sites_with_places over {} slots {:?}",n/per,t.elapsed());
 let p=v.catalogue.period(PeriodNumber(2)).unwrap().period.clone();
 let t=Instant::now(); println!("eligible {} in {:?}",v.count_eligible(&p),t.elapsed());
 println!("event size {}, envelope {}",size_of::<Event>(),size_of::<Envelope>());
}
